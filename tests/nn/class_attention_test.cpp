// SPDX-License-Identifier: MIT
#include "gram/nn/class_attention.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::compare;
using test::Golden;

TEST_CASE_TEMPLATE("class attention agrees with the released code", T, float, double) {
  struct Case {
    const char* file;
    typename ClassAttention<T>::Options options;
  };
  const Case cases[] = {{"ga_class_attn_embed", {.channels = 32, .embed = 16, .heads = 8}},
                        {"ga_class_attn_expansion", {.channels = 64, .embed = 16, .heads = 8}},
                        {"ga_class_attn_bias", {.channels = 32, .embed = 24, .heads = 4, .qkv_bias = true}}};
  for (const auto& [file, options] : cases) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    ClassAttention<T> layer(options, rng);
    const Agreement error = compare<T>(golden, layer);
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE_TEMPLATE("the layer-scale block of class attention agrees with the released code", T, float,
                   double) {
  struct Case {
    const char* file;
    typename ClassAttentionBlock<T>::Options options;
  };
  const Case cases[] = {{"ga_ls_block_groups2", {.channels = 64, .embed = 16, .mlp_groups = 2}},
                        {"ga_ls_block_groups4", {.channels = 32, .embed = 16, .mlp_groups = 4}}};
  for (const auto& [file, options] : cases) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    ClassAttentionBlock<T> block(options, rng);
    const Agreement error =
        compare<T>(golden, block, [&](const auto& in) { return std::vector<Tensor<T>>{block(in[1], in[0])}; },
                   {"x", "x_cls"}, {"y"});
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE("class attention starts with layer scales of 1e-4, so that the class token passes unchanged") {
  Rng rng(2);
  const ClassAttentionBlock<double> block({.channels = 16, .embed = 8, .heads = 2}, rng);
  const auto y = randn<double>({3, 1, 16}, 1), x = randn<double>({3, 5, 16}, 2);
  CHECK(test::distance(block(y, x), y) < 1e-3);
  CHECK(test::distance(block(y, x), y) > 0);
}

TEST_CASE("class attention refuses sizes that do not divide, and says where it stands") {
  Rng rng(1);
  CHECK(test::error_of([&] { ClassAttention<float>({.channels = 8, .embed = 12, .heads = 5}, rng); }) ==
        "ClassAttention: 5 attention heads; they must divide the width 12");
  ClassAttention<float> layer({.channels = 8, .embed = 4, .heads = 2}, rng);
  layer.k.weight.name = "ga.0.attn.k.weight";
  layer.q.weight.name = "ga.0.attn.q.weight";
  CHECK(test::error_of([&] { layer(randn<float>({2, 3, 6}, 1)); }).substr(0, 20) == "ga.0.attn.q: linear:");
}
