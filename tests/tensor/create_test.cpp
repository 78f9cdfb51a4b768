// SPDX-License-Identifier: MIT
#include "gram/tensor/create.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("constant tensors, ranges and generated values") {
  CHECK(test::close(full<float>({3}, 2.5F), {2.5F, 2.5F, 2.5F}, 0));
  CHECK(zeros<double>({2, 2}).at({1, 1}) == 0);
  CHECK(static_cast<float>(ones<bf16>({2}).data()[1]) == 1);
  CHECK(arange<std::int64_t>(5).data()[4] == 4);
  CHECK(arange<float>(0).size() == 0);
  CHECK(generate<double>({2, 3}, [](Index i) { return i * i; }).at({1, 2}) == 25);
  const auto large = full<std::int32_t>({200000}, 7);
  CHECK(std::all_of(large.span().begin(), large.span().end(), [](std::int32_t v) { return v == 7; }));
}

TEST_CASE("random tensors are functions of their key, for any number of threads") {
  const int before = threads();
  set_threads(1);
  const auto one = randn<float>({100, 100}, 5);
  set_threads(2);
  CHECK(test::identical(one, randn<float>({100, 100}, 5)));
  set_threads(before);
  CHECK(!test::identical(one, randn<float>({100, 100}, 6)));
  CHECK(!test::identical(one, randn<float>({100, 100}, RandomKey{5, 1})));
  const RandomKey key{5, 0};
  CHECK(one.data()[77] == static_cast<float>(key.normal(77)));
  const auto u = rand<double>({10000}, -2, 3, 1);
  const auto [low, high] = std::minmax_element(u.span().begin(), u.span().end());
  CHECK(*low >= -2);
  CHECK(*low < -1.99);
  CHECK(*high < 3);
  CHECK(*high > 2.99);
}

TEST_CASE("converted changes the element type off the tape") {
  Tensor<double> x({3}, {1.75, -2.25, 3});
  x.set_requires_grad();
  CHECK(!converted<float>(x).requires_grad());
  CHECK(converted<std::int64_t>(x).data()[1] == -2);
  CHECK(converted<double>(converted<bf16>(x)).data()[0] == 1.75);
  CHECK(!converted<float>(Tensor<double>{}).defined());
  CHECK(converted<float>(Tensor<std::uint8_t>({1}, {200})).item() == 200);
}
