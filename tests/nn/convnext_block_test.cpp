// SPDX-License-Identifier: MIT
#include "gram/nn/convnext_block.hpp"

#include "gram/nn/gramian_heads.hpp"
#include "names_of.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;
using test::names_of;

namespace {

/// Heads in the textbook form under the names of the files: gram_contraction.K.0, ..
template <Scalar T>
struct TextbookHeads {
  using Head = GramianHead<T, ConvNextGramLayer<T>>;

  TextbookHeads(Index count, const typename Head::Options& o, Rng& rng) {
    for (Index i = 0; i < count; ++i) heads.emplace_back(o, rng);
  }
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    std::vector<Tensor<T>> logits;
    for (Head& head : heads) logits.push_back(head(x));
    return logits;
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < heads.size(); ++i)
      heads[i].visit([&](std::string_view name, auto& part) { parts(text(name, ".", i), part); });
  }

  std::vector<Head> heads;
};

}  // namespace

TEST_CASE_TEMPLATE("a ConvNeXt block agrees with the released code", T, float, double) {
  const Golden golden("convnext_block");
  if (!golden.available()) return;
  Rng rng(1);
  ConvNextBlock<T> block({.channels = 16}, rng);
  const Agreement error = test::compare<T>(golden, block);
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE_TEMPLATE("heads with a ConvNeXt block before the Gram matrix agree with the released code", T,
                   float, double) {
  const typename GramianHead<T, ConvNextGramLayer<T>>::Options options{.channels = 32,
                                                                       .classes = 10,
                                                                       .gram_dim = 8,
                                                                       .contraction_groups = 1,
                                                                       .embedding_groups = 4,
                                                                       .embed = 16,
                                                                       .mlp_groups = 4};
  const auto agreement = [&]<class Heads>(const Golden& golden, bool training, Heads heads) {
    train(heads, training);
    const Agreement error = test::compare<T>(golden, heads, [&](const auto& in) { return heads(in[0]); },
                                             {"x"}, {"logits0", "logits1"});
    CHECK(error.output < 3e-6);
    CHECK(error.gradient < 6e-6);
  };
  for (const bool training : {false, true}) {
    CAPTURE(training);
    const Golden golden(training ? "ga_head_convnext_layer_train" : "ga_head_convnext_layer_eval");
    if (!golden.available()) return;
    Rng rng(1);
    agreement(golden, training, GramianHeads<T, ConvNextGramLayer<T>>(2, options, rng));
    agreement(golden, training, TextbookHeads<T>(2, options, rng));
  }
}

TEST_CASE("a ConvNeXt block has timm's names, and is called blocks.0 before a Gram matrix") {
  Rng rng(1);
  ConvNextBlock<float> block({.channels = 4}, rng);
  CHECK(names_of(block) ==
        "gamma conv_dw.weight conv_dw.bias norm.weight norm.bias mlp.fc1.weight mlp.fc1.bias mlp.fc2.weight "
        "mlp.fc2.bias ");
  CHECK(block.conv_dw.weight.shape() == Shape{4, 7, 7, 1});
  CHECK(block.mlp.fc1.weight.shape() == Shape{16, 4});
  CHECK(block.gamma.data()[3] == 1e-6F);
  ConvNextGramLayer<float> layer({}, 4, rng);
  CHECK(names_of(layer).starts_with("blocks.0.gamma blocks.0.conv_dw.weight "));
}

TEST_CASE("a ConvNeXt block differentiates on maps smaller than its kernel") {
  Rng rng(2);
  ConvNextBlock<double> block({.channels = 3, .mlp_ratio = 2, .layer_scale = 0.5, .init = Init::xavier}, rng);
  for (const Shape& shape : {Shape{2, 3, 5, 3}, Shape{1, 1, 1, 3}, Shape{1, 8, 2, 3}})
    CHECK(gradcheck(
              [&](const auto& x, const auto& kernel, const auto& gamma) {
                static_cast<Tensor<double>&>(block.conv_dw.weight) = kernel;
                static_cast<Tensor<double>&>(block.gamma) = gamma;
                return block(x);
              },
              randn<double>(shape, 1), randn<double>({3, 7, 7, 1}, 2), randn<double>({3}, 3)) < 1e-6);
}

TEST_CASE("a ConvNeXt block skips whole images in training only") {
  Rng rng(3);
  ConvNextBlock<double> block({.channels = 3, .drop_path = 0.5, .layer_scale = 1, .init = Init::xavier}, rng);
  const auto x = randn<double>({12, 3, 3, 3}, 1);
  const auto y = block(x);
  eval(block);
  const auto whole = block(x), doubled = sub(mul(whole, 2.0), x);  // x + 2 (whole - x)
  int skips = 0, others = 0;
  for (Index n = 0; n < 12; ++n) {
    skips += test::identical(y.alias_rows(n, n + 1), x.alias_rows(n, n + 1));
    others += test::close(y.alias_rows(n, n + 1), doubled.alias_rows(n, n + 1), 1e-12);
  }
  CHECK(skips > 1);
  CHECK(others > 1);
  CHECK(skips + others == 12);
}

TEST_CASE("a ConvNeXt block refuses another number of channels at the layer that meets them first") {
  Rng rng(1);
  ConvNextGramLayer<float> layer({}, 4, rng);
  name_parameters(layer);
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 8, 8, 3}));
        }) ==
        "blocks.0.conv_dw: conv2d: weight (4, 7, 7, 1) in 4 groups expects 4 input channels, input (1, 8, 8, "
        "3) has 3");
}
