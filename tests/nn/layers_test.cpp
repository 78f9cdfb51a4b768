// SPDX-License-Identifier: MIT
// Layers without parameters, and the small ones: activations, pools, layer scale, squeeze-and-excitation, GAP
// heads.
#include "gram/nn/activation.hpp"
#include "gram/nn/classifier_heads.hpp"
#include "gram/nn/layer_scale.hpp"
#include "gram/nn/module.hpp"
#include "gram/nn/pool.hpp"
#include "gram/nn/squeeze_excite.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("activations are chosen by name") {
  const Tensor<double> x({4}, {-7, -0.5, 0.5, 7});
  const auto last = [&](Activation kind) { return Activate<double>{kind}(x).data()[3]; };
  CHECK(last(Activation::none) == 7);
  CHECK(last(Activation::relu) == 7);
  CHECK(last(Activation::relu6) == 6);
  CHECK(last(Activation::gelu) == doctest::Approx(7));
  CHECK(last(Activation::gelu_tanh) == doctest::Approx(7));
  CHECK(last(Activation::silu) == doctest::Approx(7 / (1 + std::exp(-7.0))));
  CHECK(last(Activation::sigmoid) == doctest::Approx(1 / (1 + std::exp(-7.0))));
  CHECK(last(Activation::tanh) == doctest::Approx(std::tanh(7.0)));
  CHECK(last(Activation::hardswish) == 7);
  CHECK(last(Activation::softplus) == doctest::Approx(std::log1p(std::exp(7.0))));
}

TEST_CASE("pools are layers") {
  const auto x = randn<double>({2, 6, 4, 3}, 1);
  CHECK(MaxPool2d<double>{{.kernel = 3, .stride = 2, .padding = 1}}(x).shape() == Shape{2, 3, 2, 3});
  CHECK(AvgPool2d<double>{{.kernel = 2}}(x).shape() == Shape{2, 3, 2, 3});
  CHECK(AdaptiveAvgPool2d<double>{{3, 1}}(x).shape() == Shape{2, 3, 1, 3});
  CHECK(GlobalAvgPool<double>{}(x).shape() == Shape{2, 3});
}

TEST_CASE("layer scale multiplies every channel by its factor") {
  LayerScale<double> scale({.channels = 3, .value = 0.5});
  CHECK(scale(ones<double>({2, 3})).at({1, 2}) == 0.5);
  CHECK(gradcheck(
            [&](const auto& x, const auto& gamma) {
              scale.gamma.assign(gamma);
              return mul(x, gamma);
            },
            randn<double>({2, 4, 3}, 1), randn<double>({3}, 2)) < 1e-6);
}

TEST_CASE("squeeze-and-excitation scales each channel of each image by one number in (0, 1)") {
  Rng rng(1);
  const SqueezeExcite<double> se({.channels = 4, .reduced = 8}, rng);
  const auto x = randn<double>({2, 3, 3, 4}, 1);
  const auto y = se(x);
  const double ratio = y.at({1, 0, 0, 2}) / x.at({1, 0, 0, 2});
  CHECK(ratio > 0);
  CHECK(ratio < 1);
  CHECK(y.at({1, 2, 1, 2}) / x.at({1, 2, 1, 2}) == doctest::Approx(ratio));
  CHECK(gradcheck([&](const auto& v) { return se(v); }, x) < 1e-6);
}

TEST_CASE("widths are rounded to eight as in timm") {
  CHECK(rounded_to_eight(2) == 8);
  CHECK(rounded_to_eight(11.9) == 8);
  CHECK(rounded_to_eight(12) == 16);
  CHECK(rounded_to_eight(64) == 64);
}

TEST_CASE("one GAP head is called fc, several fc.0, fc.1; they read the mean of the map") {
  Rng rng(1);
  const auto names = [](auto& heads) {
    std::string all;
    for_each_parameter(heads, [&](const std::string& name, auto&) { all += name + " "; });
    return all;
  };
  GapHeads<float> one(1, {.channels = 3, .classes = 2}, rng), two(2, {.channels = 3, .classes = 2}, rng);
  CHECK(names(one) == "fc.weight fc.bias ");
  CHECK(names(two) == "fc.0.weight fc.0.bias fc.1.weight fc.1.bias ");
  const auto x = randn<float>({4, 5, 5, 3}, 1);
  CHECK(test::close(two(x)[1], two.fc[1](global_avg_pool(x)), 0));
  CHECK(test::close(two({x, x})[1], two(x)[1], 0));
  CHECK(test::error_of([&] { two(std::vector{x}); }) == "GapHeads: 1 maps for 2 heads");
}

TEST_CASE("the kind of head is chosen when a network is made; names do not depend on it") {
  const GramianHead<float>::Options options{
      .channels = 16, .classes = 3, .gram_dim = 8, .embedding_groups = 4, .embed = 8};
  for (const HeadKind kind : {HeadKind::gram, HeadKind::cait, HeadKind::gap}) {
    Rng rng(1);
    ClassifierHeads<float> heads(kind, 2, options, rng);
    const auto logits = heads(randn<float>({3, 4, 4, 16}, 1));
    REQUIRE(logits.size() == 2);
    CHECK(logits[0].shape() == Shape{3, 3});
    bool found = false;
    for_each_parameter(heads, [&](const std::string& name, auto&) { found = found || name == "fc.1.bias"; });
    CHECK(found);
  }
}
