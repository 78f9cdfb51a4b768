// SPDX-License-Identifier: MIT
#include "gram/models/catalog_cswin.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

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

nlohmann::json published(const std::string& name) {
  std::ifstream file(test::shared_folder() / "keys" / (name + ".json"));
  return nlohmann::json::parse(file);
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
    CHECK(error.output < (training ? 1e-4 : 1e-5));
    CHECK(error.gradient < (training ? 1e-4 : 2e-5));
    CHECK(error.input < (training ? 1e-4 : 2e-5));
    CHECK(error.input_sum < (training ? 1e-4 : 2e-5));
    // No check of error.statistics: after/* of the files hold what buffer/* hold, the statistics before the
    // pass.
  }
}

TEST_CASE("the networks of the released class have its names, shapes and totals") {
  for (const auto& row : models::CswinCatalog::rows()) {
    if (!row.name.starts_with("ga_") || !test::have_shared("keys/" + row.name + ".json")) continue;
    CAPTURE(row.name);
    const auto expected = published(row.name);
    auto model = made(row.name, {});
    CHECK(model.info().heads == 5);
    CHECK(parameter_count(model) == expected["total_params"].get<Index>());
    std::size_t found = 0, counters = 0;
    detail::for_each_weight(model, [&](const std::string& name, const auto& part, Layout layout) {
      REQUIRE_MESSAGE(expected["keys"].contains(name), name);
      Shape shape;
      for (const auto& extent : expected["keys"][name]["shape"]) shape.append(extent.template get<Index>());
      CHECK_MESSAGE(file_shape(part.shape(), layout) == shape, name);
      ++found;
    });
    for (const auto& [name, entry] : expected["keys"].items())
      counters += name.ends_with("num_batches_tracked");
    CHECK(found == expected["keys"].size() - counters);
  }
}

TEST_CASE("GA-CSWin-T has 42.0 M parameters and 6.1 G multiply-accumulates, those of the released class") {
  // keys/ga_cswin_tiny_reconstructed.json: 1,139,793,152 in convolutions, 4,624,879,616 in linear layers
  auto model = made("ga_cswin_tiny_reconstructed", {});
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  CHECK(count.parameters == 41'990'024);
  CHECK(count.products == 1'139'793'152 + 4'624'879'616);
  CHECK(count.matmuls == 346'867'968);
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
