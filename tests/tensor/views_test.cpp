// SPDX-License-Identifier: MIT
#include "gram/tensor/views.hpp"

#include "gram/ops/arithmetic.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("reshape shares memory and infers one extent") {
  const auto x = arange<float>(12);
  CHECK(reshape(x, {3, 4}).at({1, 0}) == 4);
  CHECK(reshape(x, {3, 4}).data() == x.data());
  CHECK(reshape(x, {2, -1, 3}).shape() == Shape{2, 2, 3});
  CHECK(reshape(x, Shape{12, 1}).shape() == Shape{12, 1});
  CHECK(reshape(ones<float>({1}), {}).shape() == Shape{});
  CHECK(reshape(Tensor<float>({0, 4}), {-1, 2}).shape() == Shape{0, 2});
}

TEST_CASE("gradients go back through views") {
  CHECK(gradcheck(
            [](const auto& x) {
              return reshape(x * x, {2, 6}) * reshape(x, {2, -1});
            },
            randn<double>({3, 4}, 1)) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return rows(x * x, 1, 3); }, randn<double>({4, 5}, 2)) < 1e-6);
  // several ranges of one tensor, overlapping
  CHECK(gradcheck([](const auto& x) { return rows(x, 0, 2) * rows(x, 1, 3) + rows(x, 2, 4); },
                  randn<double>({4, 3}, 3)) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return rows(x, 2, 2); }, randn<double>({4, 3}, 4)) < 1e-6);
}

TEST_CASE("the gradient of reshape is passed on without a copy") {
  Tensor<float> x({2, 3});
  x.set_requires_grad();
  const auto dy = ones<float>({6});
  backward(reshape(x, {6}), dy);
  CHECK(x.grad().data() == dy.data());
  CHECK(x.grad().shape() == Shape{2, 3});
}

TEST_CASE("impossible views are refused") {
  const auto x = arange<float>(12);
  CHECK(error_of([&] { reshape(x, {5, 2}); }) == "reshape: (12) cannot become (5, 2)");
  CHECK(error_of([&] { reshape(x, {5, -1}); }) == "reshape: (12) cannot become (5, 2)");
  CHECK(error_of([&] { reshape(x, {-1, -1}); }) == "reshape: more than one extent is -1");
  CHECK(error_of([&] { reshape(x, {0, -1}); }) == "reshape: (12) cannot become (0, 1)");
  CHECK(error_of([&] { reshape(x, {-2, -6}); }) == "shape: extent -2 of axis 0 is negative");
  CHECK(error_of([&] {
          reshape(x, {Index{1} << 40, Index{1} << 40, -1});
        }) == "shape: more than 2^59 elements");
  CHECK(error_of([&] { rows(x, 3, 13); }) == "Tensor::alias_rows: rows 3 to 13 of shape (12)");
}
