// SPDX-License-Identifier: MIT
#include "gram/metrics/operations.hpp"

#include "gram/nn/conv2d.hpp"
#include "gram/nn/gramian_heads.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("fused heads are counted in the textbook form, and beside it as they are executed") {
  Rng rng(1);
  constexpr Index C = 16, E = 8, g = 8, H = 4, heads = 2, n = 3, T = H * H, k = g * (g + 1) / 2;
  const GramianHead<float>::Options options{.channels = C,
                                            .classes = n,
                                            .gram_dim = g,
                                            .contraction_groups = 4,
                                            .embedding_groups = 4,
                                            .embed = E,
                                            .attention_heads = 2,
                                            .mlp_groups = 4};
  GramianHeads<float> fused(heads, options, rng);
  GramianHead<float> textbook(options, rng);
  name_parameters(fused), name_parameters(textbook);
  const auto count = count_operations<float>(fused, {1, H, H, C});
  const auto one = count_operations<float>(textbook, {1, H, H, C});
  CHECK(count.parameters == heads * one.parameters);
  CHECK(count.products == heads * one.products);
  CHECK(count.norms == heads * one.norms);
  CHECK(count.matmuls == heads * one.matmuls);
  // gramian_head.md, section 3
  CHECK(one.products == T * C * g / 4 + k * C / 4 + (1 + T) * 2 * C * E + 2 * C * E + 8 * C * C / 4 + n * C);
  CHECK(one.matmuls == g * g * T + 2 * (1 + T) * E);
  CHECK(count.executed < count.products + count.matmuls);
}

TEST_CASE("counting covers every parameter once and leaves the mode of the model alone") {
  Rng rng(1);
  GramianHeads<float> heads(
      2, {.channels = 16, .classes = 3, .gram_dim = 8, .embedding_groups = 4, .embed = 8}, rng);
  name_parameters(heads);
  eval(heads.heads[0]);
  const auto count = count_operations<float>(heads, {1, 4, 4, 16});
  CHECK_FALSE(heads.heads[0].gram_contraction.norm.mode.training);
  CHECK(heads.heads[1].gram_contraction.norm.mode.training);
  Index listed = 0;
  bool gamma = false;
  for (const LayerCall& layer : count.layers) {
    listed += layer.parameters;
    gamma = gamma || layer.path == "ga.1.gamma_2";
  }
  CHECK(listed == count.parameters);
  CHECK(gamma);
  CHECK_THROWS(count_operations<float>(heads, {1, 4, 4, 15}));
  CHECK_FALSE(heads.heads[0].gram_contraction.norm.mode.training);
  CHECK(heads.heads[1].gram_contraction.norm.mode.training);
}

TEST_CASE("a convolution counts as its formula, and as executed in the form that it takes") {
  Rng rng(1);
  Conv2d<float> conv({.in = 64, .out = 64, .kernel = 3, .padding = 1}, rng);
  name_parameters(conv);
  constexpr Index direct = 8 * 28 * 28 * 9 * 64 * 64, tiles = 8 * 7 * 7;
  const auto executed = [&] {
    const OperationCount count = count_operations<float>(conv, {8, 28, 28, 64});
    CHECK(count.products == direct);
    return count.executed;
  };
  CHECK(executed() == 36 * tiles * 64 * 64);  // Winograd's, in tiles of 4 x 4
  set_convolution_method(ConvolutionMethod::direct);
  CHECK(executed() == direct);
  set_convolution_method(ConvolutionMethod::automatic);
}
