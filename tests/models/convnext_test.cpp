// SPDX-License-Identifier: MIT
#include "gram/models/convnext.hpp"

#include "gram/metrics/operations.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

template <Scalar T>
typename ConvNextTrunk<T>::Options tiny() {
  return {.blocks = {1, 2, 5, 1}, .widths = {4, 6, 8, 10}};
}

/// Values by which every part of a block counts: layer scales start at 1e-6.
template <class Model>
void scramble(Model& model) {
  std::uint64_t seed = 100;
  for_each_parameter(model, [&]<class P>(const std::string&, P& p) {
    const auto values = rand<typename P::value_type>(p.shape(), -0.5, 0.5, seed++);
    std::copy(values.span().begin(), values.span().end(), p.data());
  });
}

}  // namespace

TEST_CASE_TEMPLATE("a stage with two outputs from inside agrees with the released code", T, float, double) {
  const Golden golden("convnext_stage_naggre2");
  if (!golden.available()) return;
  Rng rng(1);
  ConvNextStage<T> stage({.in = 8, .channels = 16, .depth = 6, .intermediates = 2}, rng);
  const Agreement error = test::compare<T>(golden, stage, [&](const auto& in) { return stage(in[0]); }, {"x"},
                                           {"inter0", "inter1", "y"});
  CHECK(error.output < 2e-6);
  CHECK(error.gradient < 2e-6);
}

TEST_CASE("a stage gives the outputs of evenly spaced blocks, the last one at its end") {
  struct Row {
    Index depth, intermediates;
    std::vector<std::size_t> numbers;  // of blocks, from 1
  };
  for (const Row& row : {Row{9, 2, {3, 6, 9}}, Row{27, 4, {5, 10, 15, 20, 27}}, Row{6, 2, {2, 4, 6}},
                         Row{5, 3, {1, 2, 3, 5}}, Row{3, 0, {3}}}) {
    Rng rng(1);
    ConvNextStage<double> stage(
        {.in = 2, .channels = 2, .depth = row.depth, .downsample = false, .intermediates = row.intermediates},
        rng);
    scramble(stage);
    Tensor<double> x = randn<double>({1, 2, 2, 2}, 3);
    const auto outputs = stage(x);
    REQUIRE(outputs.size() == row.numbers.size());
    for (std::size_t b = 0, i = 0; b < stage.blocks.size(); ++b) {
      x = stage.blocks[b](x);
      if (b + 1 == row.numbers[i]) CHECK(test::identical(outputs[i++].detach(), x.detach()));
    }
  }
}

TEST_CASE("the trunk gives the maps of its stages, those inside stage 3 in front of its output") {
  Rng rng(1);
  auto options = tiny<float>();
  options.intermediates = 2;
  ConvNextTrunk<float> trunk(options, rng);
  CHECK(trunk.channels() == std::vector<Index>{4, 6, 8, 8, 8, 10});
  CHECK(trunk.reference() == 4);
  scramble(trunk);
  const auto x = randn<float>({2, 64, 96, 3}, 2);
  const auto maps = trunk(x);
  const Shape shapes[] = {{2, 16, 24, 4}, {2, 8, 12, 6}, {2, 4, 6, 8},
                          {2, 4, 6, 8},   {2, 4, 6, 8},  {2, 2, 3, 10}};
  REQUIRE(maps.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) CHECK(maps[i].shape() == shapes[i]);
  options.patch = 2;
  CHECK(ConvNextTrunk<float>(options, rng)(x)[4].shape() == Shape{2, 8, 12, 8});
  auto inside = trunk.stages[2](maps[1]);
  CHECK(test::identical(inside[2].detach(), maps[4].detach()));
  CHECK(test::identical(trunk.stages[3](maps[4])[0].detach(), maps[5].detach()));
}

TEST_CASE("stochastic depth grows from 0 at the first block to its full rate at the last") {
  Rng rng(1);
  auto options = tiny<float>();
  options.drop_path = 0.4;
  const ConvNextTrunk<float> trunk(options, rng);
  std::vector<double> rates;
  for (const auto& stage : trunk.stages)
    for (const auto& block : stage.blocks) rates.push_back(block.drop_path.rate);
  REQUIRE(rates.size() == 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(rates[i] == doctest::Approx(0.05 * double(i)));
}

TEST_CASE("a plain ConvNeXt has timm's names and its gradient reaches the image") {
  Rng rng(1);
  ConvNext<double> model({.classes = 3, .trunk = {.blocks = {1, 1, 2, 1}, .widths = {2, 3, 4, 5}}}, rng);
  std::string names = " ";
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(
      names.starts_with(" stem.0.weight stem.0.bias stem.1.weight stem.1.bias stages.0.blocks.0.gamma "
                        "stages.0.blocks.0.conv_dw.weight "));
  CHECK(
      names.find(" stages.1.downsample.0.weight stages.1.downsample.0.bias stages.1.downsample.1.weight ") !=
      std::string::npos);
  CHECK(names.ends_with(" head.norm.weight head.norm.bias head.fc.weight head.fc.bias "));
  CHECK(model.trunk.stages[1].downsample->conv.weight.shape() == Shape{3, 2, 2, 2});

  scramble(model);
  const auto x = randn<double>({1, 32, 32, 3}, 2);
  CHECK(gradcheck([&](const Tensor<double>& v) { return model(v); }, x) < 1e-6);
  const auto larger = randn<double>({2, 64, 96, 3}, 3);  // the last map of x has a single pixel
  const auto feature = model.norm(global_avg_pool(model.trunk(larger)[3]));
  CHECK(test::close(model(larger)[0], model.heads.fc[0](feature), 1e-12));

  ConvNext<double> two({.classes = 3, .heads = 2, .trunk = {.blocks = {1, 1, 1, 1}, .widths = {2, 3, 4, 5}}},
                       rng);
  names.clear();
  for_each_parameter(two, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names.ends_with(" head.fc.0.weight head.fc.0.bias head.fc.1.weight head.fc.1.bias "));
  CHECK(two(randn<double>({2, 32, 32, 3}, 1)).size() == 2);
}

TEST_CASE("plain ConvNeXts have the published parameters, and ConvNeXt-T 4.5 G multiply-accumulates" *
          doctest::test_suite("published")) {
  // arXiv:2201.03545, table 1: 28.6 M and 4.5 G, 50.2 M, 88.6 M; the exact numbers are those of timm's models
  Rng rng(1);
  {
    ConvNext<float> small({.trunk = {.blocks = {3, 3, 27, 3}}}, rng);
    CHECK(parameter_count(small) == 50'223'688);
  }
  {
    ConvNext<float> base({.trunk = {.blocks = {3, 3, 27, 3}, .widths = {128, 256, 512, 1024}}}, rng);
    CHECK(parameter_count(base) == 88'591'464);
  }
  ConvNext<float> model({}, rng);
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  CHECK(count.parameters == 28'589'128);
  CHECK(count.products == 4'455'531'264);
  CHECK(count.matmuls == 0);
}

TEST_CASE("a stage refuses more outputs from inside than it has blocks for, and channels that do not fit") {
  Rng rng(1);
  CHECK(test::error_of([&] {
          ConvNextStage<float>({.in = 2, .channels = 4, .depth = 3, .intermediates = 3}, rng);
        }) == "ConvNextStage: 3 intermediate outputs of 3 blocks; there must be fewer than blocks");
  CHECK(test::error_of([&] { ConvNextStage<float>({.in = 2, .channels = 4, .downsample = false}, rng); }) ==
        "ConvNextStage: 2 channels cannot become 4 without a downsample");
  ConvNext<float> model({.trunk = tiny<float>()}, rng);
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 32, 32, 4}));
        }) == "stem.0: conv2d: weight (4, 4, 4, 3) expects 3 input channels, input (1, 32, 32, 4) has 4");
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 16, 16, 3}));
        }).starts_with("stages.3.downsample.1: conv2d: "));
}
