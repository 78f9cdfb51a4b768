// SPDX-License-Identifier: MIT
#include "gram/models/catalog_cswin.hpp"

#include "gram/metrics/operations.hpp"
#include "models/golden_model.hpp"

using namespace gram;
using test::Golden;
using test::ModelAgreement;

namespace {

template <Scalar T>
typename GaCswin<T>::Options tiny() {
  return {.classes = 10,
          .heads = 1,
          .trunk = {.deep_stem = true,
                    .stem_width = 8,
                    .blocks = {1, 1, 4, 1},
                    .widths = {8, 16, 16, 32},
                    .heads = {2, 4, 4, 4},
                    .intermediates = 1},
          .stage5_heads = 4,
          .stage5_mlp_groups = 1,
          .gram_dim = 48,
          .embed = 8};
}
/// The same for images of 64 x 64 with two heads.
template <Scalar T>
typename GaCswin<T>::Options small_images() {
  auto options = tiny<T>();
  options.heads = 2, options.split = 2;
  options.trunk.size = 64, options.trunk.splits = {1, 2, 2};
  return options;
}

models::Model<float> made(const std::string& name, const models::CreateOptions& options) {
  Rng rng(1);
  return *models::detail::make_from<models::CswinCatalog, float>(name, options, rng);
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GA-CSWin agrees with the released code", T, float, double) {
  for (const bool training : {false, true}) {
    CAPTURE(training);
    const Golden golden(training ? "ga_cswin_tiny_model_train" : "ga_cswin_tiny_model_eval");
    if (!golden.available()) return;
    Rng rng(1);
    GaCswin<T> model(tiny<T>(), rng);
    train(model, training);
    const ModelAgreement error = test::compare_model<T>(golden, model, {"logits0"});
    // The reference's own error in float: 5e-7 and 1e-6 in evaluation, 2e-6 and 8e-6 in training.
    CHECK(error.output < (training ? 1e-5 : 2e-6));
    CHECK(error.gradient < (training ? 3e-5 : 6e-6));
    CHECK(error.input < (training ? 3e-5 : 6e-6));
    CHECK(error.input_sum < (training ? 3e-5 : 6e-6));
    // No check of error.statistics: after/* of the files hold what buffer/* hold, the statistics before the
    // pass.
  }
}

TEST_CASE("maps are put side by side at the size of stage 3, whatever the size of the image") {
  Rng rng(1);
  GaCswin<float> model(small_images<float>(), rng);
  const auto x = randn<float>({2, 64, 128, 3}, 1);
  CHECK(model(x).at(1).shape() == Shape{2, 10});
  CHECK((*model.stage5)(aggregate(model.trunk(x), model.trunk.reference())).shape() == Shape{2, 4, 8, 32});
}

TEST_CASE("where the map of stage 3 is one window, so it is in stage 5 and in the heads") {
  Rng rng(1);
  auto options = small_images<float>();
  options.split = 4;
  GaCswin<float> model(options, rng);
  CHECK(model.trunk.stages[2][0].attns.size() == 2);
  CHECK(model.stage5->block.attns.size() == 1);
  CHECK(model.heads.gram->heads[1].gram_layer.block.attns.size() == 1);
  CHECK(model(randn<float>({2, 64, 64, 3}, 1)).size() == 2);
  options.split = 3;
  CHECK(test::error_of([&] { GaCswin<float>(options, rng); }) ==
        "CswinTrunk: stage 3 has maps of (4, 4) pixels, which stripes of 3 do not divide");
}

TEST_CASE("stage 5 can be the bottleneck of GA-ConvNeXt") {
  Rng rng(1);
  auto options = small_images<float>();
  options.fusion = GaCswin<float>::Fusion::bottleneck;
  GaCswin<float> model(options, rng);
  CHECK_FALSE(model.stage5.has_value());
  CHECK(model.bottleneck->conv1.weight.shape() == Shape{8, 1, 1, 8 + 16 + 2 * 16 + 32});
  CHECK(model.bottleneck->conv2.weight.name == "stage5.conv2.weight");
  CHECK(model(randn<float>({2, 64, 64, 3}, 1)).size() == 2);
}

TEST_CASE("stochastic depth has its full rate in stage 5 and the heads, and acts in training only") {
  Rng rng(1);
  auto options = small_images<float>();
  options.trunk.drop_path = 0.3;
  GaCswin<float> model(options, rng);
  CHECK(model.trunk.stages[3][0].drop_path1.rate == 0.3);
  CHECK(model.stage5->block.drop_path2.rate == 0.3);
  CHECK(model.heads.gram->heads[1].gram_layer.block.drop_path1.rate == 0.3);
  const auto x = randn<float>({4, 64, 64, 3}, 3);
  CHECK_FALSE(test::identical(model(x)[0].detach(), model(x)[0].detach()));
  eval(model);
  CHECK(test::identical(model(x)[0].detach(), model(x)[0].detach()));
}

TEST_CASE("a bf16 GA-CSWin keeps its norms in float and runs forward and backward") {
  Rng rng(1);
  GaCswin<bf16> model(small_images<bf16>(), rng);
  const auto logits = model(randn<bf16>({2, 64, 64, 3}, 4));
  backward<bf16>({{logits[0], ones<bf16>({2, 10})}, {logits[1], ones<bf16>({2, 10})}});
  int wide = 0, narrow = 0;
  for_each_parameter(model, [&]<class P>(const std::string& name, const P& p) {
    CHECK_MESSAGE(p.grad().defined(), name);
    (std::same_as<P, Parameter<float>> ? wide : narrow) += 1;
  });
  // Weights and biases of the norms of the stem, seven blocks, three merges, stage 5 and two heads.
  CHECK(wide == 2 * (3 + 7 * 2 + 3 + 3 + 2 * 6));
  CHECK(narrow > wide);
}

TEST_CASE("linear layers start as in transformers, convolutions as in PyTorch, as in the released class") {
  Rng rng(1);
  GaCswin<float> model(small_images<float>(), rng);
  int linear = 0, others = 0;
  for_each_parameter(model, [&](const std::string& name, const Parameter<float>& p) {
    if (p.rank() == 1) return;
    double sum = 0;
    for (const float w : p.span()) sum += double(w) * double(w);
    const double fan_in = double(p.size() / p.dim(0));  // uniform(+-1/sqrt(fan_in)) has variance 1/(3 fan_in)
    const bool plain = p.layout == Layout::plain;
    const double expected = plain ? 0.02 : 1 / std::sqrt(3 * fan_in);
    CHECK_MESSAGE(std::abs(std::sqrt(sum / double(p.size())) / expected - 1) < 0.25, name);
    (plain ? linear : others) += 1;
  });
  CHECK(linear > 20);
  CHECK(others > 20);
}

TEST_CASE("other kinds of heads fit on the same trunk") {
  Rng rng(1);
  auto options = small_images<float>();
  for (const HeadKind head : {HeadKind::cait, HeadKind::gap}) {
    options.head = head;
    GaCswin<float> model(options, rng);
    CHECK(model(randn<float>({2, 64, 64, 3}, 1)).size() == 2);
  }
}

TEST_CASE("CSWins and their options can be made by name") {
  auto model = made("cswin_tiny", {.classes = 7, .heads = 2, .size = 448, .drop_path = 0.1});
  CHECK(model.info().heads == 2);
  auto gramian = made("ga_cswin_tiny_class_defaults", {.classes = 7, .heads = 2});
  eval(gramian);
  const NoGrad off;
  CHECK(gramian(randn<float>({1, 224, 224, 3}, 1)).at(1).shape() == Shape{1, 7});
  CHECK(test::error_of([] { made("cswin_small", {.size = 256}); }) ==
        "CswinTrunk: stage 3 has maps of (16, 16) pixels, which stripes of 7 do not divide");
}
