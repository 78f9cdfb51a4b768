// SPDX-License-Identifier: MIT
#include "gram/nn/linear.hpp"

#include "gram/nn/mlp.hpp"
#include "gram/nn/module.hpp"
#include "gram/nn/pointwise.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("a linear layer is x W^T + b over the last axis, with PyTorch's bounds") {
  Rng rng(1);
  const Linear<double> layer({.in = 9, .out = 4}, rng);
  CHECK(layer.weight.shape() == Shape{4, 9});
  for (const double w : layer.weight.span()) CHECK(std::abs(w) <= 1.0 / 3);
  const auto x = randn<double>({2, 3, 9}, 1);
  const auto y = layer(x);
  CHECK(y.shape() == Shape{2, 3, 4});
  double sum = layer.bias.at({2});
  for (Index i = 0; i < 9; ++i) sum += x.at({1, 2, i}) * layer.weight.at({2, i});
  CHECK(y.at({1, 2, 2}) == doctest::Approx(sum));
  const Linear<double> bare({.in = 9, .out = 4, .bias = false}, rng);
  CHECK_FALSE(bare.bias.defined());
  CHECK(bare(x).shape() == Shape{2, 3, 4});
}

TEST_CASE("a pointwise layer keeps groups apart and is a 1x1 convolution in files") {
  Rng rng(1);
  const Pointwise<double> layer({.in = 6, .out = 4, .groups = 2, .bias = false}, rng);
  CHECK(layer.weight.shape() == Shape{4, 3});
  CHECK(layer.weight.layout == Layout::pointwise);
  auto x = randn<double>({1, 6}, 1);
  const auto before = layer(x).detach().clone();
  x.at({0, 5}) += 1;  // an input of the second group
  const auto after = layer(x);
  CHECK(after.at({0, 1}) == before.at({0, 1}));
  CHECK(after.at({0, 2}) != before.at({0, 2}));
}

TEST_CASE("an MLP applies its activation between the layers") {
  Rng rng(1);
  const Mlp<double> mlp({.channels = 3, .hidden = 8, .activation = Activation::relu}, rng);
  const auto x = randn<double>({5, 3}, 1);
  CHECK(test::close(mlp(x), mlp.fc2(relu(mlp.fc1(x))), 0));
  CHECK(gradcheck([&](const auto& v) { return mlp(v); }, x) < 1e-6);
}

TEST_CASE("linear layers write their costs into an open log") {
  Rng rng(1);
  Linear<float> layer({.in = 9, .out = 4}, rng);
  name_parameters(layer);
  const CallLog log;
  layer(zeros<float>({2, 3, 9}));
  REQUIRE(log.calls().size() == 1);
  CHECK(log.calls()[0].products == 2 * 3 * 4 * 9);
  CHECK(log.calls()[0].parameters == 40);
  CHECK(log.calls()[0].output == Shape{2, 3, 4});
}

TEST_CASE("linear layers refuse extents that are not positive") {
  Rng rng(1);
  CHECK(test::error_of([&] { Linear<float>({.in = 0, .out = 4}, rng); }) ==
        "Linear: 0 inputs and 4 outputs; both must be positive");
  CHECK(test::error_of([&] { Pointwise<float>({.in = 4, .out = 6, .groups = 4}, rng); }) ==
        "Pointwise: 4 groups; they must divide 4 inputs and 6 outputs");
}
