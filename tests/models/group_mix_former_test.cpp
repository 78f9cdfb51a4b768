// SPDX-License-Identifier: MIT
#include "gram/models/group_mix_former.hpp"

#include <map>

#include "gram/metrics/operations.hpp"
#include "gram/models/catalog_group_mix_former.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

template <Scalar T>
typename GroupMixFormer<T>::Options tiny() {
  return {.classes = 10,
          .trunk = {.widths = {40, 40, 40, 80}, .depths = {1, 1, 1, 1}, .mlp_ratios = {2, 2, 2, 1}}};
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GroupMixFormer agrees with the released code", T, float, double) {
  const Golden golden("gmf_tiny_model_eval");
  if (!golden.available()) return;
  Rng rng(1);
  GroupMixFormer<T> model(tiny<T>(), rng);
  eval(model);
  const Agreement error =
      test::compare<T>(golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, {"y"});
  INFO(error.output, " ", error.gradient);
  CHECK(error.output < 2e-6);
  CHECK(error.gradient < 5e-6);
}

TEST_CASE("the trunk gives a map of each stage, whatever the size of the image") {
  Rng rng(1);
  GroupMixFormer<float> model(tiny<float>(), rng);
  CHECK(model.trunk.channels() == std::vector<Index>{40, 40, 40, 80});
  const auto maps = model.features(randn<float>({2, 64, 96, 3}, 1));
  REQUIRE(maps.size() == 4);
  CHECK(maps[0].shape() == Shape{2, 16, 24, 40});
  CHECK(maps[1].shape() == Shape{2, 8, 12, 40});
  CHECK(maps[2].shape() == Shape{2, 4, 6, 40});
  CHECK(maps[3].shape() == Shape{2, 2, 3, 80});
  CHECK(model(randn<float>({2, 50, 33, 3}, 1)).at(0).shape() == Shape{2, 10});

  auto options = tiny<float>();
  options.trunk.stem_stride = 2;
  GroupMixFormer<float> small(options, rng);
  CHECK(small.features(zeros<float>({1, 32, 48, 3}))[0].shape() == Shape{1, 16, 24, 40});
  options.trunk.stem_stride = 3;
  CHECK(test::error_of([&] { GroupMixFormer<float>(options, rng); }) ==
        "GroupMixFormerTrunk: stem stride 3; it is 2 or 4");
}

TEST_CASE("several heads are numbered and read one map") {
  Rng rng(1);
  auto options = tiny<float>();
  options.heads = 3;
  GroupMixFormer<float> model(options, rng);
  std::string names = " ";
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names.find(" head.2.weight ") != std::string::npos);
  CHECK(names.find(" head.weight ") == std::string::npos);
  CHECK(model(randn<float>({2, 32, 32, 3}, 1)).size() == 3);
  options.heads = 0;
  CHECK(test::error_of([&] { GroupMixFormer<float>(options, rng); }) ==
        "GapHeads: 0 heads; at least one is needed");
}

TEST_CASE("the rate of drop path grows over all blocks, and branches are skipped in training only") {
  Rng rng(1);
  auto options = tiny<float>();
  options.trunk.depths = {1, 2, 1, 1}, options.trunk.drop_path = 0.4;
  GroupMixFormer<float> model(options, rng);
  const auto rate = [&](std::size_t s, std::size_t b) {
    return model.trunk.stages[s].gma_stage[b].drop_path1.rate;
  };
  CHECK(rate(0, 0) == 0);
  CHECK(rate(1, 0) == doctest::Approx(0.1));
  CHECK(rate(1, 1) == doctest::Approx(0.2));
  CHECK(rate(3, 0) == doctest::Approx(0.4));
  const auto x = randn<float>({4, 32, 32, 3}, 3);
  CHECK_FALSE(test::identical(model(x)[0].detach(), model(x)[0].detach()));
  eval(model);
  CHECK(test::identical(model(x)[0].detach(), model(x)[0].detach()));
}

TEST_CASE("a GroupMixFormer in bf16 runs forward and backward, its norms in float") {
  Rng rng(1), same(1);
  GroupMixFormer<bf16> model(tiny<bf16>(), rng);
  GroupMixFormer<float> exact(tiny<float>(), same);
  const auto x = randn<float>({2, 64, 64, 3}, 4);
  const auto logits = model(converted<bf16>(x)).at(0);
  CHECK(test::distance(converted<float>(logits.detach()), exact(x)[0].detach()) < 0.05);
  backward<bf16>({{logits, ones<bf16>({2, 10})}});
  for_each_parameter(model, []<class T>(const std::string& name, const Parameter<T>& p) {
    CHECK_MESSAGE(p.grad().defined(), name);
    const bool wide = std::same_as<T, float>;
    CHECK_MESSAGE(wide == (name.find("norm") != std::string::npos), name);
  });
}

TEST_CASE("images that do not fit are refused where they stop fitting") {
  Rng rng(1);
  GroupMixFormer<float> model(tiny<float>(), rng);
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 64, 64, 1}));
        }) ==
        "conv_stem.proj1: conv2d: weight (20, 3, 3, 3) expects 3 input channels, input (1, 64, 64, 1) has 1");
  auto options = tiny<float>();
  options.trunk.widths[2] = 44;
  CHECK(test::error_of([&] { GroupMixFormer<float>(options, rng); }) ==
        "GroupMixAttention: 44 channels; a positive multiple of ten is needed");
}
