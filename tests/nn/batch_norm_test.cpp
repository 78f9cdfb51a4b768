// SPDX-License-Identifier: MIT
#include "gram/nn/batch_norm.hpp"

#include "gram/nn/layer_norm.hpp"
#include "gram/nn/module.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("batch norm trains with the batch and moves the running statistics as PyTorch") {
  BatchNorm2d<double> norm({.channels = 1});
  // python3 -c "import torch; b=torch.nn.BatchNorm2d(1).double();
  // print(b(torch.tensor([1.,2,3,6]).double().view(4,1,1,1)).flatten().tolist(), b.running_mean,
  // b.running_var)"
  const Tensor<double> x({4, 1, 1, 1}, {1, 2, 3, 6});
  CHECK(test::close(norm(x), {-1.0690437, -0.5345218, 0.0, 1.6035655}, 1e-6));
  CHECK(norm.running_mean.item() == doctest::Approx(0.3));
  CHECK(norm.running_var.item() == doctest::Approx(0.9 + 0.1 * 14.0 / 3));
  eval(norm);
  const double mean = norm.running_mean.item(), deviation = std::sqrt(norm.running_var.item() + 1e-5);
  CHECK(norm(x).data()[3] == doctest::Approx((6 - mean) / deviation));
  CHECK(norm.running_mean.item() == mean);
}

TEST_CASE("the fused forms are the sum and the ReLU of the plain one") {
  BatchNorm2d<double> norm({.channels = 3, .weight = 0.7});
  eval(norm);
  const auto x = randn<double>({2, 4, 5, 3}, 1), residual = randn<double>({2, 4, 5, 3}, 2);
  const auto plain = norm(x);
  const auto fused = norm.relu(x, residual), alone = norm.relu(x);
  for (Index i = 0; i < x.size(); ++i) {
    CHECK(fused.data()[i] == doctest::Approx(std::max(0.0, plain.data()[i] + residual.data()[i])));
    CHECK(alone.data()[i] == doctest::Approx(std::max(0.0, plain.data()[i])));
  }
}

TEST_CASE("norms of bf16 networks have float parameters") {
  BatchNorm2d<bf16> batch({.channels = 3});
  LayerNorm<bf16> layer({.channels = 3});
  static_assert(std::is_same_v<decltype(batch.weight), Parameter<float>>);
  static_assert(std::is_same_v<decltype(layer.bias), Parameter<float>>);
  CHECK(batch(randn<bf16>({4, 3}, 1)).shape() == Shape{4, 3});
  CHECK(layer(randn<bf16>({4, 3}, 1)).shape() == Shape{4, 3});
}

TEST_CASE("layer norm makes every row mean 0 and variance 1") {
  LayerNorm<double> norm({.channels = 64});
  CHECK(norm.epsilon == 1e-5);
  const auto y = norm(randn<double>({3, 64}, 1));
  for (Index i = 0; i < 3; ++i) {
    double mean = 0, square = 0;
    for (Index c = 0; c < 64; ++c) mean += y.at({i, c}) / 64, square += y.at({i, c}) * y.at({i, c}) / 64;
    CHECK(std::abs(mean) < 1e-12);
    CHECK(square == doctest::Approx(1).epsilon(1e-4));
  }
}

TEST_CASE("norms name their parts as PyTorch does and say where they stand") {
  BatchNorm2d<float> norm({.channels = 3});
  std::string names;
  for_each_part(norm, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names == "weight bias running_mean running_var mode ");
  norm.weight.name = "layer1.0.bn2.weight";
  CHECK(test::error_of([&] {
          norm(zeros<float>({1, 3}));
        }) ==
        "layer1.0.bn2: batch_norm: x has shape (1, 3), but training expects more than 1 value per channel");
  CHECK(test::error_of([] { BatchNorm2d<float>({.channels = 0}); }) ==
        "BatchNorm2d: 0 channels; at least one is needed");
  CHECK(test::error_of([] { LayerNorm<float>({.channels = -2}); }) ==
        "LayerNorm: -2 channels; at least one is needed");
  CHECK(
      test::error_of([] { BatchNorm2d<float>({.channels = 1, .epsilon = -1}); }) ==
      "BatchNorm2d: epsilon is -1 and momentum 0.1; epsilon must not be negative, momentum must be between 0 "
      "and 1");
  CHECK(test::error_of([] { LayerNorm<float>({.channels = 1, .epsilon = -1}); }) ==
        "LayerNorm: epsilon is -1; it must not be negative");
}
