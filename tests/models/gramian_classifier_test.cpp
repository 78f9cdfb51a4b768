// SPDX-License-Identifier: MIT
#include "gram/models/gramian_classifier.hpp"

#include "gram/models/convnext.hpp"
#include "gram/models/cswin.hpp"
#include "gram/models/explicit_resnet.hpp"
#include "gram/models/ga_resnet.hpp"
#include "gram/models/group_mix_former.hpp"
#include "gram/models/refiner_vit.hpp"
#include "gram/nn/convnext_block.hpp"
#include "gram/nn/cswin_block.hpp"
#include "gram/nn/module.hpp"
#include "names_of.hpp"
#include "support.hpp"

using namespace gram;
using test::names_of;

namespace {

/// Two convolutions, two maps.
template <Scalar T>
struct SmallBackbone {
  using value_type = T;
  struct Options {
    Index width = 8;
  };

  SmallBackbone(const Options& o, Rng& rng)
      : first({.in = 3, .out = o.width, .kernel = 3, .stride = 2, .padding = 1}, rng),
        second({.in = o.width, .out = 2 * o.width, .kernel = 3, .stride = 2, .padding = 1}, rng) {}

  std::vector<Tensor<T>> operator()(const Tensor<T>& images) const {
    const Tensor<T> map = first(images);
    return {map, second(map)};
  }
  std::vector<Index> channels() const { return {first.weight.dim(0), second.weight.dim(0)}; }
  void visit(auto&& parts) { parts("first", first), parts("second", second); }

  Conv2d<T> first, second;
};

/// f scaled by one number: the smallest layer in front of a Gram matrix.
template <Scalar T>
struct Scaled {
  struct Options {
    double first = 1;
  };

  Scaled(const Options& o, Index width, Rng&) : gamma(full(Shape{width}, static_cast<T>(o.first))) {}
  Tensor<T> operator()(const Tensor<T>& f) const { return mul(f, gamma); }
  void visit(auto&& parts) { parts("gamma", gamma); }

  Parameter<T> gamma;
};

template <class Layer = NoGramLayer<double>>
using Small = GramianClassifier<SmallBackbone<double>, Layer>;
template <class Layer = NoGramLayer<double>>
typename Small<Layer>::Options small(FeatureOptions features = {}) {
  return {.classes = 3,
          .heads = 2,
          .features = std::move(features),
          .gram_dim = 8,
          .embedding_groups = 4,
          .embed = 8,
          .attention_heads = 2,
          .mlp_ratio = 1};
}

}  // namespace

TEST_CASE("heads read one map as it is, or several fused ones, and every weight gets a gradient") {
  const Tensor<double> x = randn<double>({2, 9, 7, 3}, 1);
  for (const FeatureOptions& features :
       {FeatureOptions{}, FeatureOptions{.maps = {0}}, FeatureOptions{.maps = {0, 1}},
        FeatureOptions{.maps = {1, 0}, .reference = 1, .width = 4, .out = 16, .se_ratio = 0}}) {
    Rng rng(1);
    Small<> model(small(features), rng);
    train(model, false);
    const auto logits = model(x);
    REQUIRE(logits.size() == 2);
    CHECK(logits[1].shape() == Shape{2, 3});
    CHECK(model.fuse.has_value() == (features.maps.size() > 1));
    backward<double>({{logits[0], ones<double>({2, 3})}, {logits[1], ones<double>({2, 3})}});
    const bool second_unused = features.maps == std::vector<std::size_t>{0};
    for_each_parameter(model, [&](const std::string& name, const auto& parameter) {
      CHECK_MESSAGE(parameter.grad().defined() == !(second_unused && name.starts_with("second")), name);
    });
  }
}

TEST_CASE("on the trunk of GA-ResNet it is GA-ResNet, names and values") {
  Rng one(3), other(3);
  const typename ResNetTrunk<float>::Options trunk{
      .blocks = {1, 1, 1, 1}, .widths = {8, 8, 8, 8}, .outputs = {16, 16, 32, 32}, .deep = true};
  GaResNet<float> network({.classes = 5,
                           .heads = 2,
                           .trunk = trunk,
                           .fuse_width = 8,
                           .fuse_out = 32,
                           .gram_dim = 8,
                           .embedding_groups = 4,
                           .embed = 8},
                          one);
  GramianClassifier<ResNetTrunk<float>> general({.classes = 5,
                                                 .heads = 2,
                                                 .backbone = trunk,
                                                 .features = {.maps = {0, 1, 2, 3}, .reference = 2},
                                                 .gram_dim = 8,
                                                 .embedding_groups = 4},
                                                other);
  CHECK(names_of(network) == names_of(general));
  const Tensor<float> x = randn<float>({2, 64, 64, 3}, 2);
  CHECK(test::identical(network(x)[1].detach(), general(x)[1].detach()));
}

TEST_CASE("a layer of one's own stands before the Gram matrix") {
  Rng rng(1), same(1);
  auto options = small<Scaled<double>>();
  options.layer.first = 2;
  Small<Scaled<double>> model(options, rng);
  Small<> without(small(), same);
  CHECK(names_of(model).find(" gram_layer.1.gamma ") != std::string::npos);
  CHECK(parameter_count(model) == parameter_count(without) + 2 * 8);
  train(model, false), train(without, false);
  const Tensor<double> x = randn<double>({2, 8, 8, 3}, 1);
  // The Gram vector is normalised, so a common factor does not change it; one channel's does.
  CHECK(test::close(model(x)[0].detach(), without(x)[0].detach(), 1e-12));
  model.heads.gram->heads[0].gram_layer.gamma.data()[3] = 5;
  CHECK_FALSE(test::close(model(x)[0].detach(), without(x)[0].detach(), 1e-9));
}

TEST_CASE("choices that do not fit the backbone are refused") {
  Rng rng(1);
  const auto error = [&](FeatureOptions features) {
    return test::error_of([&] { Small<>(small(std::move(features)), rng); });
  };
  CHECK(error({.maps = {0, 2}}) == "GramianClassifier: map 2 of a backbone with 2 maps");
  CHECK(error({.maps = {0, 1}, .reference = 2}) == "GramianClassifier: reference 2 of 2 chosen maps");
  CHECK(error({.out = 8}) ==
        "GramianClassifier: width and out belong to the fusion of several maps; one is chosen");
  auto odd = small();
  odd.contraction_groups = 3;
  CHECK(test::error_of([&] { Small<>(odd, rng); }).find("3 groups") != std::string::npos);
}

namespace {

/// Every parameter of the classifier, the backbone's too, gets a gradient from the logits of its heads.
template <class Backbone, class Layer = NoGramLayer<float>>
void check_backbone(const typename Backbone::Options& backbone, FeatureOptions features, Pair size) {
  Rng rng(1);
  using Classifier = GramianClassifier<Backbone, Layer>;
  Classifier model({.classes = 4,
                    .heads = 2,
                    .backbone = backbone,
                    .features = std::move(features),
                    .gram_dim = 16,
                    .embedding_groups = 4},
                   rng);
  CHECK(total_channels(model.backbone.channels()) > 0);
  const auto logits = model(randn<float>({2, size.h, size.w, 3}, 5));
  REQUIRE(logits.size() == 2);
  CHECK(logits[0].shape() == Shape{2, 4});
  backward<float>({{logits[0], randn<float>({2, 4}, 1)}, {logits[1], randn<float>({2, 4}, 2)}});
  for_each_parameter(model, [](const std::string& name, const auto& parameter) {
    CHECK_MESSAGE(parameter.grad().defined(), name);
  });
}

}  // namespace

TEST_CASE("Gramian heads stand on every backbone of the library") {
  const std::array<Index, 4> ones{1, 1, 1, 1};
  SUBCASE("ConvNeXt, and its block before the Gram matrix") {
    const ConvNextTrunk<float>::Options o{
        .blocks = {1, 1, 3, 1}, .widths = {8, 16, 16, 32}, .intermediates = 1};
    check_backbone<ConvNextTrunk<float>>(o, {.maps = {0, 1, 2, 3, 4}, .reference = 3}, {64, 96});
    check_backbone<ConvNextTrunk<float>, ConvNextGramLayer<float>>(o, {}, 64);
  }
  SUBCASE("CSWin") {
    const CswinTrunk<float>::Options o{
        .size = 64, .blocks = ones, .widths = {8, 16, 16, 32}, .heads = {2, 2, 2, 2}, .splits = {1, 2, 2}};
    check_backbone<CswinTrunk<float>>(o, {.maps = {1, 2, 3}, .reference = 1}, 64);
  }
  SUBCASE("GroupMixFormer") {
    const GroupMixFormerTrunk<float>::Options o{.widths = {40, 40, 40, 80}, .depths = ones};
    check_backbone<GroupMixFormerTrunk<float>>(o, {.maps = {0, 1, 2, 3}, .reference = 2, .out = 32}, 64);
  }
  SUBCASE("Refiner-ViT") {
    const RefinerVitTrunk<float>::Options o{.size = 16, .patch = 4, .channels = 32, .depth = 2, .heads = 4};
    check_backbone<RefinerVitTrunk<float>>(o, {}, 16);
  }
  SUBCASE("ResNet with explicit attention") {
    const ExplicitResNetTrunk<float>::Options o{.blocks = {1, 1}, .widths = {8, 8}, .stem = 8, .share = 0.25};
    check_backbone<ExplicitResNetTrunk<float>>(o, {.maps = {0, 1}, .reference = 1}, 32);
  }
}
