// SPDX-License-Identifier: MIT
#include "gram/ops/cast.hpp"

#include "gram/ops/arithmetic.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("cast rounds to the nearest bf16, ties to even") {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7; 1 + 3 2^-8 between 1 + 2^-7 and 1 + 2^-6
  const auto y = cast<bf16>(Tensor<float>({4}, {1.00390625F, 1.01171875F, 1.004F, -3.140625F}));
  CHECK(test::close(cast<float>(y), {1.F, 1.015625F, 1.0078125F, -3.140625F}, 0));
}

TEST_CASE("gradients flow through a graph of mixed element types") {
  Tensor<double> x({3}, {1, 2, 3});
  x.set_requires_grad();
  const auto y = cast<double>(cast<bf16>(cast<float>(x) * 2.0) * 2.0) * x;  // 4 x^2
  backward(y, ones<double>({3}));
  CHECK(test::close(y, {4., 16., 36.}, 0));
  CHECK(test::close(x.grad(), {8., 16., 24.}, 0));
}

TEST_CASE("the gradient of cast agrees with central differences") {
  CHECK(gradcheck([](const auto& x) { return cast<double>(x) * x; }, randn<double>({4}, 1)) < 1e-6);
}

TEST_CASE("a cast to the same type is the tensor itself") {
  const auto x = ones<float>({2});
  CHECK(cast<float>(x).data() == x.data());
  CHECK(cast<bf16>(Tensor<float>({0, 2})).shape() == Shape{0, 2});
  CHECK(test::error_of([] { cast<float>(Tensor<double>{}); }) == "cast: x is undefined");
}
