// SPDX-License-Identifier: MIT
#include "gram/models/catalog_convnext.hpp"

#include "gram/metrics/operations.hpp"
#include "models/golden_model.hpp"

using namespace gram;
using test::Golden;
using test::ModelAgreement;

namespace {

template <Scalar T>
typename GaConvNext<T>::Options tiny() {
  return {.classes = 10,
          .heads = 2,
          .trunk = {.blocks = {1, 1, 6, 1}, .widths = {8, 12, 16, 32}, .intermediates = 2},
          .fuse_out = 32,
          .gram_dim = 8,
          .embedding_groups = 4,
          .embed = 16};
}

models::Model<float> made(const std::string& name, const models::CreateOptions& options) {
  Rng rng(1);
  return *models::detail::make_from<models::ConvNextCatalog, float>(name, options, rng);
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GA-ConvNeXt agrees with the released code", T, float, double) {
  for (const bool training : {false, true}) {
    CAPTURE(training);
    const Golden golden(training ? "ga_convnext_tiny_model_train" : "ga_convnext_tiny_model_eval");
    if (!golden.available()) return;
    Rng rng(1);
    GaConvNext<T> model(tiny<T>(), rng);
    train(model, training);
    const ModelAgreement error = test::compare_model<T>(golden, model, {"logits0", "logits1"});
    // the reference's own errors are 7e-7 and 9e-7, in training 1e-6 and 6e-6
    CHECK(error.output < (training ? 5e-6 : 2e-6));
    CHECK(error.gradient < (training ? 2e-5 : 3e-6));
    CHECK(error.input < 5e-6);
    CHECK(error.input_sum < (training ? 1e-5 : 2e-6));
  }
}

TEST_CASE("maps are put side by side at the size of stage 3, whatever the size of the image") {
  Rng rng(1);
  GaConvNext<float> model(tiny<float>(), rng);
  const auto x = randn<float>({2, 64, 96, 3}, 1);
  const auto logits = model(x);
  CHECK(logits.at(1).shape() == Shape{2, 10});
  Tensor<float> fused = model.fuse(aggregate(model.trunk(x), 4));
  CHECK(fused.shape() == Shape{2, 4, 6, 32});
}

TEST_CASE("stochastic depth ends its growth in stage 5 and the heads") {
  Rng rng(1);
  auto options = tiny<float>();
  options.trunk.drop_path = 0.3;
  GaConvNext<float> model(options, rng);
  std::vector<double> rates;
  for (const auto& stage : model.trunk.stages)
    for (const auto& block : stage.blocks) rates.push_back(block.drop_path.rate);
  REQUIRE(rates.size() == 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(rates[i] == doctest::Approx(0.3 * double(i) / 9));
  CHECK(model.fuse.drop_path->rate == 0.3);
  CHECK(model.heads.gram->heads[1].gram_layer.block.drop_path.rate == 0.3);
  const auto x = randn<float>({4, 32, 32, 3}, 3);
  CHECK_FALSE(test::identical(model(x)[0].detach(), model(x)[0].detach()));
  eval(model);
  CHECK(test::identical(model(x)[0].detach(), model(x)[0].detach()));
}

TEST_CASE("layers start as in the released code, and heads train with Gram matrices in double") {
  Rng rng(1);
  GaConvNext<float> model(tiny<float>(), rng);
  const auto deviation = [](const auto& values) {
    double sum = 0;
    for (const float v : values.span()) sum += double(v) * double(v);
    return std::sqrt(sum / double(values.size()));
  };
  const auto& block = model.trunk.stages[2].blocks[3];
  const auto& head = model.heads.gram->heads[0];
  for (const Parameter<float>& weight :
       {model.trunk.stem.weight, block.conv_dw.weight, block.mlp.fc1.weight, model.fuse.conv1.weight,
        model.fuse.conv2.weight, model.fuse.downsample->conv.weight, model.fuse.se->fc1.weight,
        head.gram_contraction.conv.weight, head.fc.weight})
    CHECK_MESSAGE(std::abs(deviation(weight) / 0.02 - 1) < 0.3, weight.name);
  CHECK(deviation(model.fuse.bn3.weight) == 1);
  CHECK(deviation(model.fuse.downsample->conv.bias) == 0);
  CHECK(block.gamma.data()[0] == 1e-6F);
}

TEST_CASE("a bf16 GA-ConvNeXt keeps its norms in float and runs forward and backward") {
  Rng rng(1);
  GaConvNext<bf16> model(tiny<bf16>(), rng);
  const auto logits = model(randn<bf16>({2, 64, 64, 3}, 4));
  backward<bf16>({{logits[0], ones<bf16>({2, 10})}, {logits[1], ones<bf16>({2, 10})}});
  int wide = 0, narrow = 0;
  for_each_parameter(model, [&]<class P>(const std::string& name, const P& p) {
    CHECK_MESSAGE(p.grad().defined(), name);
    (std::same_as<P, Parameter<float>> ? wide : narrow) += 1;
  });
  CHECK(wide == 2 * (1 + 3 + 9 + 4 + 2 * 5));  // weights and biases of stem, stages, stage 5 and two heads
  CHECK(narrow > wide);
}

TEST_CASE("other kinds of heads fit on the same trunk") {
  Rng rng(1);
  auto options = tiny<float>();
  for (const HeadKind head : {HeadKind::cait, HeadKind::gap}) {
    options.head = head;
    GaConvNext<float> model(options, rng);
    CHECK(model(randn<float>({2, 32, 32, 3}, 1)).size() == 2);
  }
}

TEST_CASE("classes, heads and stochastic depth can be chosen by name") {
  for (const std::string name : {"convnext_tiny", "ga_convnext_tiny_688"}) {
    CAPTURE(name);
    auto model = made(name, {.classes = 7, .heads = 2, .drop_path = 0.5});
    const auto x = randn<float>({4, 32, 32, 3}, 1);
    const NoGrad off;
    const auto logits = model(x);
    REQUIRE(logits.size() == 2);
    CHECK(logits[1].shape() == Shape{4, 7});
    for_each_parameter(model, [&](const std::string& part, auto& p) {  // layer scales hide the branches
      if (part.ends_with("gamma")) std::fill(p.span().begin(), p.span().end(), 1.0F);
    });
    CHECK_FALSE(test::identical(model(x)[0], model(x)[0]));
    eval(model);
    CHECK(test::identical(model(x)[0], model(x)[0]));
  }
}

TEST_CASE("the catalogue has the plain and the released networks") {
  const auto row = [](const std::string& name) {
    for (const auto& r : models::ConvNextCatalog::rows())
      if (r.name == name) return r;
    FAIL("no network ", name);
    return models::ConvNextCatalog::rows()[0];
  };
  CHECK(row("convnext_tiny").heads == 1);
  CHECK(row("convnext_small").blocks == std::array<Index, 4>{3, 3, 27, 3});
  CHECK(row("convnext_base").widths == std::array<Index, 4>{128, 256, 512, 1024});
  const auto base = row("ga_convnext_base_976");
  CHECK(base.heads == 5);
  CHECK(base.blocks == std::array<Index, 4>{3, 3, 27, 3});
  CHECK(base.widths == std::array<Index, 4>{128, 256, 512, 976});
  CHECK(base.intermediates == 4);
  CHECK(base.embed == 240);

  auto small = made("ga_convnext_nano", {.classes = 10});
  CHECK(small.info().size == Pair(32));
  CHECK(small(randn<float>({2, 32, 32, 3}, 1)).size() == 3);
}
