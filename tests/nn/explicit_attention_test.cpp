// SPDX-License-Identifier: MIT
#include "gram/nn/explicit_attention.hpp"

#include "gram/metrics/operations.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("explicit attention agrees with the reference", T, float, double) {
  const Golden golden("own_explicit_attention");
  if (!golden.available()) return;
  Rng rng(1);
  ExplicitAttention<T> layer({.in = 8, .out = 8, .heads = 2}, rng);
  const Agreement error = test::compare<T>(golden, layer);
  CAPTURE(error.output);
  CAPTURE(error.gradient);
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE_TEMPLATE("a convolution with attention beside it agrees with the reference", T, float, double) {
  const Golden golden("own_explicit_attention_conv_stride2");
  if (!golden.available()) return;
  Rng rng(1);
  AttentionAugmentedConv2d<T> layer({.in = 8, .out = 12, .stride = 2, .attention = 4, .heads = 2}, rng);
  const Agreement error = test::compare<T>(golden, layer);
  CAPTURE(error.output);
  CAPTURE(error.gradient);
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE("an augmented convolution differentiates, with every map and stride") {
  for (const Index stride : {1, 2})
    for (const AttentionDecay decay : {AttentionDecay::gaussian, AttentionDecay::exponential}) {
      Rng rng(1);
      AttentionAugmentedConv2d<double> layer({.in = 3,
                                              .out = 5,
                                              .stride = stride,
                                              .attention = 2,
                                              .heads = 2,
                                              .radius = 1.5,
                                              .map = {.decay = decay}},
                                             rng);
      CHECK(gradcheck([&](const auto& x) { return layer(x); }, randn<double>({2, 5, 4, 3}, 1)) < 1e-6);
    }
}

TEST_CASE("the attention stands behind the convolution, is mixed by the map, and pooled with a stride") {
  Rng rng(1);
  AttentionAugmentedConv2d<double> layer({.in = 3, .out = 7, .stride = 2, .attention = 4, .radius = 2}, rng);
  const auto x = randn<double>({2, 5, 4, 3}, 1);
  const auto y = layer(x);
  CHECK(y.shape() == Shape{2, 3, 2, 7});
  CHECK(test::identical(slice(y, 3, 0, 3), layer.conv(x).detach()));
  const auto v = matmul(x.alias({2, 20, 3}), layer.att->value.weight, {.transpose_b = true});
  const auto map = explicit_attention_map(Tensor<double>({1}, {std::log(2)}), {5, 4});
  for (const Index n : {0, 1}) {
    const auto mixed = matmul(map.alias({20, 20}), v.alias_rows(n, n + 1).alias({20, 4}));
    const auto o = matmul(mixed, layer.att->proj.weight, {.transpose_b = true}).detach();
    const auto pooled = avg_pool2d(o.alias({1, 5, 4, 4}), {.kernel = 3, .stride = 2, .padding = 1});
    CHECK(test::close(slice(y, 3, 3, 7).alias_rows(n, n + 1), pooled, 1e-13));
  }
}

TEST_CASE("without attention an augmented convolution is a convolution with its names") {
  const auto names = [](Index attention) {
    Rng rng(1);
    AttentionAugmentedConv2d<float> layer({.in = 3, .out = 7, .attention = attention}, rng);
    std::string all;
    for_each_parameter(
        layer, [&](const std::string& name, const auto& p) { all += name + " " + to_text(p.shape()) + " "; });
    return all;
  };
  CHECK(names(0) == "weight (7, 3, 3, 3) ");
  CHECK(names(2) ==
        "conv.weight (5, 3, 3, 3) att.value.weight (2, 3) att.log_radius (1) att.proj.weight (2, 2) ");
  Rng rng(1), same(1);
  AttentionAugmentedConv2d<float> layer({.in = 3, .out = 7, .stride = 2}, rng);
  Conv2d<float> conv({.in = 3,
                      .out = 7,
                      .kernel = 3,
                      .stride = 2,
                      .padding = 1,
                      .bias = false,
                      .init = Init::kaiming_fan_out},
                     same);
  const auto x = randn<float>({1, 5, 5, 3}, 1);
  CHECK(test::identical(layer(x).detach(), conv(x).detach()));
}

TEST_CASE("radii are found by name, in pixels, and start as told") {
  Rng rng(1);
  AttentionAugmentedConv2d<float> layer({.in = 3, .out = 7, .attention = 4, .heads = 2, .radius = 1.5}, rng);
  name_parameters(layer);
  layer.att->log_radius.data()[1] = std::log(3.0F);
  const std::vector<AttentionRadii> found = radii(layer);
  REQUIRE(found.size() == 1);
  CHECK(found[0].layer == "att");
  REQUIRE(found[0].radii.size() == 2);
  CHECK(found[0].radii[0] == doctest::Approx(1.5));
  CHECK(found[0].radii[1] == doctest::Approx(3));
  REQUIRE(radii(*layer.att).size() == 1);
  CHECK(radii(layer.conv).empty());
}

TEST_CASE("the attention's multiplications are those of the dense product; fewer are executed") {
  for (const AttentionDecay decay : {AttentionDecay::gaussian, AttentionDecay::exponential}) {
    Rng rng(1);
    AttentionAugmentedConv2d<float> layer(
        {.in = 3, .out = 7, .stride = 2, .attention = 4, .heads = 2, .map = {.decay = decay}}, rng);
    name_parameters(layer);
    const OperationCount count = count_operations<float>(layer, {2, 6, 5, 3});
    const Index pixels = 2 * 6 * 5, weights = 2 * 3 * 3 * 3 * 27 + pixels * (4 * 3 + 4 * 4);
    CHECK(count.parameters == 3 * 27 + 4 * 3 + 2 + 4 * 4);
    CHECK(count.products == weights);
    CHECK(count.matmuls == pixels * 4 * 30);
    CHECK(count.executed == weights + pixels * 4 * (decay == AttentionDecay::gaussian ? 6 + 5 : 30));
    CHECK(count.layers.size() == 4);
  }
}

TEST_CASE("in bf16 radii are float, and everything has a gradient") {
  Rng rng(1);
  AttentionAugmentedConv2d<bf16> layer({.in = 3, .out = 7, .attention = 4, .heads = 2}, rng);
  static_assert(std::same_as<decltype(layer.att->log_radius), Parameter<float>>);
  const auto y = layer(randn<bf16>({2, 4, 5, 3}, 1));
  backward(y, randn<bf16>(y.shape(), 2));
  for_each_parameter(layer,
                     [](const std::string& name, const auto& p) { CHECK_MESSAGE(p.grad().defined(), name); });
}

TEST_CASE("explicit attention refuses options that make no sense, and says where a map does not fit") {
  Rng rng(1);
  CHECK(test::error_of([&] { ExplicitAttention<float>({.in = 4, .out = 6, .heads = 4}, rng); }) ==
        "ExplicitAttention: 4 heads; they must divide 6 channels");
  CHECK(test::error_of([&] { ExplicitAttention<float>({.in = 4, .out = 6, .radius = 0}, rng); }) ==
        "ExplicitAttention: radius is 0; it must be positive");
  CHECK(test::error_of([&] { AttentionAugmentedConv2d<float>({.in = 4, .out = 6, .attention = 6}, rng); }) ==
        "AttentionAugmentedConv2d: attention has 6 of 6 channels; the convolution must keep some");
  AttentionAugmentedConv2d<float> layer({.in = 4, .out = 6, .attention = 2, .map = {.self = false}}, rng);
  name_parameters(layer);
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 1, 1, 4}));
        }) == "att: explicit_attention: the map has one pixel, but without itself it has nothing to read");
}
