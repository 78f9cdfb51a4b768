// SPDX-License-Identifier: MIT
#include "gram/models/cswin.hpp"

#include "gram/metrics/operations.hpp"
#include "names_of.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;
using test::names_of;

namespace {

template <Scalar T>
typename CswinTrunk<T>::Options tiny() {
  return {.size = 32,
          .blocks = {1, 1, 5, 1},
          .widths = {4, 6, 8, 10},
          .heads = {2, 2, 2, 2},
          .splits = {1, 2, 1}};
}

}  // namespace

TEST_CASE_TEMPLATE("what lies between two stages agrees with the released code", T, float, double) {
  const Golden golden("cswin_merge");
  if (!golden.available()) return;
  Rng rng(1);
  ConvLayerNorm<T> merge({.in = 8, .out = 16, .kernel = 3, .stride = 2, .padding = 1}, rng);
  const Agreement error =
      test::compare<T>(golden, merge,
                       [&](const auto& in) {
                         return std::vector<Tensor<T>>{merge(reshape(in[0], {2, 8, 8, 8}))};
                       },
                       {"x"}, {"y"});
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE("the trunk gives the maps of its stages, those inside stage 3 in front of its output") {
  struct Row {
    Index intermediates;
    std::vector<std::size_t> blocks;  // of stage 3, counted from 1
  };
  for (const auto& [intermediates, blocks] :
       {Row{0, {5}}, Row{1, {2, 5}}, Row{2, {1, 2, 5}}, Row{4, {1, 2, 3, 4, 5}}}) {
    Rng rng(1);
    auto options = tiny<double>();
    options.intermediates = intermediates;
    CswinTrunk<double> trunk(options, rng);
    CHECK(trunk.reference() == 2 + static_cast<std::size_t>(intermediates));
    const auto image = randn<double>({2, 64, 32, 3}, 1);
    const auto maps = trunk(image);
    REQUIRE(maps.size() == blocks.size() + 3);
    REQUIRE(trunk.channels().size() == maps.size());
    for (std::size_t i = 0; i < maps.size(); ++i) CHECK(maps[i].dim(3) == trunk.channels()[i]);
    CHECK(maps[0].shape() == Shape{2, 16, 8, 4});
    CHECK(maps[1].shape() == Shape{2, 8, 4, 6});
    CHECK(maps.back().shape() == Shape{2, 2, 1, 10});
    Tensor<double> x = trunk.merges[1](maps[1]);
    for (std::size_t b = 0, i = 0; b < 5; ++b) {
      x = trunk.stages[2][b](x);
      if (b + 1 == blocks[i]) CHECK(test::identical(maps[2 + i++].detach(), x.detach()));
    }
    CHECK(test::identical(trunk.stages[3][0](trunk.merges[2](x)).detach(), maps.back().detach()));
  }
}

TEST_CASE("a stage whose map is as large as its stripes are wide has one window") {
  struct Row {
    Pair size;
    std::size_t attns[4];
  };
  for (const auto& [size, attns] :
       {Row{32, {2, 2, 2, 1}}, Row{{64, 32}, {2, 2, 2, 1}}, Row{64, {2, 2, 2, 1}}}) {
    Rng rng(1);
    auto options = tiny<float>();
    options.size = size;
    const CswinTrunk<float> trunk(options, rng);
    for (std::size_t s = 0; s < 4; ++s) CHECK(trunk.stages[s][0].attns.size() == attns[s]);
  }
  Rng rng(1);
  auto options = tiny<float>();
  options.splits = {8, 2, 2};
  const CswinTrunk<float> trunk(options, rng);
  CHECK(trunk.stages[0][0].attns.size() == 1);
  CHECK(trunk.stages[1][0].attns.size() == 2);
  CHECK(trunk.stages[2][0].attns.size() == 1);
  CHECK(trunk.stages[0][0].attns[0].get_v.weight.dim(0) == 4);
  for (const Pair size : {Pair(32, 64), Pair(64, 32)}) {  // as large in one direction only
    options.size = size;
    CHECK(CswinTrunk<float>(options, rng).stages[0][0].attns.size() == 2);
  }
}

TEST_CASE("a plain CSWin has the names of the authors' code, and its gradient reaches the image") {
  Rng rng(1);
  auto trunk = tiny<double>();
  trunk.init = Init::xavier;
  Cswin<double> model({.classes = 3, .trunk = trunk}, rng);
  const std::string names = " " + names_of(model);
  CHECK(
      names.starts_with(" stage1_conv_embed.0.weight stage1_conv_embed.0.bias stage1_conv_embed.2.weight "
                        "stage1_conv_embed.2.bias stage1.0.qkv.weight "));
  CHECK(
      names.find(
          " merge3.conv.weight merge3.conv.bias merge3.norm.weight merge3.norm.bias stage4.0.qkv.weight ") !=
      std::string::npos);
  CHECK(names.ends_with(" norm.weight norm.bias head.weight head.bias "));
  const auto x = randn<double>({1, 32, 32, 3}, 2);
  CHECK(gradcheck([&](const Tensor<double>& v) { return model(v); }, x) < 1e-6);
  const auto larger = randn<double>({2, 64, 32, 3}, 3);  // a last map of two pixels
  const auto map = model.norm(model.trunk(larger).back());
  CHECK(test::close(model(larger)[0], model.head.fc[0](global_avg_pool(map)), 1e-12));

  trunk.deep_stem = true, trunk.stem_width = 5;
  Cswin<double> deep({.classes = 3, .heads = 2, .trunk = trunk}, rng);
  const std::string others = " " + names_of(deep);
  CHECK(
      others.starts_with(" stage1_conv_embed.0.weight stage1_conv_embed.2.weight stage1_conv_embed.2.bias "
                         "stage1_conv_embed.5.weight "
                         "stage1_conv_embed.7.weight stage1_conv_embed.7.bias stage1_conv_embed.10.weight "
                         "stage1_conv_embed.12.weight stage1_conv_embed.12.bias stage1.0.qkv.weight "));
  CHECK(others.ends_with(" norm.weight norm.bias head.0.weight head.0.bias head.1.weight head.1.bias "));
  CHECK(deep.trunk.stem.layers[1].conv.weight.shape() == Shape{5, 3, 3, 5});
  CHECK(deep(x).size() == 2);
}

TEST_CASE("stochastic depth grows from 0 at the first block to its full rate at the last") {
  Rng rng(1);
  auto options = tiny<float>();
  options.drop_path = 0.35;
  const CswinTrunk<float> trunk(options, rng);
  std::vector<double> rates;
  for (const auto& stage : trunk.stages)
    for (const auto& block : stage) {
      CHECK(block.drop_path1.rate == block.drop_path2.rate);
      rates.push_back(block.drop_path1.rate);
    }
  REQUIRE(rates.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) CHECK(rates[i] == doctest::Approx(0.05 * double(i)));
}

TEST_CASE("plain CSWins have the published parameters and multiply-accumulates" *
          doctest::test_suite("published")) {
  // arXiv:2107.00652, table 1: 23 M and 4.3 G, 35 M and 6.9 G
  struct Row {
    std::array<Index, 4> blocks;
    Index parameters, products, matmuls;
  };
  for (const auto& [blocks, parameters, products, matmuls] :
       {Row{{1, 2, 21, 1}, 22'320'552, 4'070'262'272, 253'940'736},
        Row{{2, 4, 32, 2}, 34'643'304, 6'391'178'240, 409'536'512}}) {
    Rng rng(1);
    Cswin<float> model({.trunk = {.blocks = blocks}}, rng);
    const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
    CHECK(count.parameters == parameters);
    CHECK(count.products == products);
    CHECK(count.matmuls == matmuls);
  }
}

TEST_CASE("image sizes and maps that stripes do not divide are refused") {
  Rng rng(1);
  const auto error = [&](Pair size, Index intermediates = 0) {
    return test::error_of([&] { CswinTrunk<float>({.size = size, .intermediates = intermediates}, rng); });
  };
  CHECK(error({224, 230}) == "CswinTrunk: image size (224, 230) is not a multiple of 32");
  CHECK(error({224, 256}) ==
        "CswinTrunk: stage 3 has maps of (14, 16) pixels, which stripes of 7 do not divide");
  CHECK(error(224, 21) ==
        "CswinTrunk: 21 intermediate maps of 21 blocks in stage 3; there must be fewer than blocks");
  auto options = tiny<float>();
  options.blocks[3] = 0;
  CHECK(test::error_of([&] { CswinTrunk<float>(options, rng); }) ==
        "CswinTrunk: stage 4 has 0 blocks; at least one is needed");
  options = tiny<float>();
  options.splits = {1, 2, 2}, options.size = 64;
  Cswin<float> larger({.classes = 2, .trunk = options}, rng);
  CHECK(larger(zeros<float>({1, 32, 64, 3})).size() == 1);
  CHECK(test::error_of([&] {
          larger(zeros<float>({1, 64, 48, 3}));
        }) ==
        "stage3.0.attns.0.get_v: StripeAttention: stripes of 2 pixels do not divide a map of (4, 3) pixels");
}
