// SPDX-License-Identifier: MIT
#include "gram/nn/transformer_block.hpp"

#include "gram/nn/module.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/shape.hpp"
#include "gram/tensor/views.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("multi-head attention mixes values by the softmax of scaled products, head by head") {
  Rng rng(1);
  MultiHeadAttention<double> layer({.channels = 6, .heads = 2, .init = Init::xavier}, rng);
  const auto x = randn<double>({2, 4, 6}, 1);
  const auto packed = layer.qkv(x), y = layer(x);
  for (const Index n : {0, 1}) {
    auto mixed = zeros<double>({4, 6});
    for (const Index h : {0, 1})
      for (Index i = 0; i < 4; ++i) {
        double weight[4], total = 0;
        for (Index j = 0; j < 4; ++j) {
          double score = 0;
          for (Index c = 0; c < 3; ++c)
            score += packed.at({n, i, 3 * h + c}) * packed.at({n, j, 6 + 3 * h + c});
          total += weight[j] = std::exp(score / std::sqrt(3.0));
        }
        for (Index j = 0; j < 4; ++j)
          for (Index c = 0; c < 3; ++c)
            mixed.at({i, 3 * h + c}) += weight[j] / total * packed.at({n, j, 12 + 3 * h + c});
      }
    CHECK(test::close(layer.proj(mixed), y.alias_rows(n, n + 1).alias({4, 6}), 1e-12));
  }
}

TEST_CASE("a transformer block differentiates, and does not depend on the order of tokens") {
  Rng rng(2);
  TransformerBlock<double> block({.channels = 8, .heads = 2, .mlp_ratio = 2, .init = Init::xavier}, rng);
  const auto x = randn<double>({2, 5, 8}, 1);
  CHECK(gradcheck([&](const auto& v) { return block(v); }, x) < 1e-6);
  const auto swapped = concat<double>({slice(x, 1, 3, 5), slice(x, 1, 0, 3)}, 1);
  CHECK(test::close(block(swapped), concat<double>({slice(block(x), 1, 3, 5), slice(block(x), 1, 0, 3)}, 1),
                    1e-12));
}

TEST_CASE("dropout and drop path of a block act in training only") {
  Rng rng(3);
  TransformerBlock<double> block(
      {.channels = 8, .heads = 2, .drop = 0.2, .drop_path = 0.3, .init = Init::xavier}, rng);
  const auto x = randn<double>({8, 3, 8}, 1);
  CHECK_FALSE(test::identical(block(x), block(x)));
  eval(block);
  CHECK(test::identical(block(x), block(x)));
}

TEST_CASE("a fused block computes the same, sums and GELU on the tiles of products") {
  Rng rng(4);
  for (const Index channels : {8, 48}) {
    TransformerBlock<double> exact({.channels = channels, .heads = 2, .init = Init::xavier}, rng);
    TransformerBlock<float> block({.channels = channels, .heads = 2, .init = Init::xavier}, rng);
    const auto x = randn<double>({2, 37, channels}, 1);
    const auto x_float = converted<float>(x);
    eval(exact), eval(block);
    const auto before = exact(x).detach();
    const auto before_float = block(x_float).detach();
    fuse_for_inference(exact), fuse_for_inference(block);
    const NoGrad off;
    CHECK(test::close(exact(x), before, 1e-13));
    CHECK(test::close(block(x_float), before_float, 1e-5));
    CHECK(test::close(exact.mlp(x), exact.mlp.fc2(gelu(exact.mlp.fc1(x))), 1e-13));
  }
}

TEST_CASE("attention refuses heads that do not divide the channels") {
  Rng rng(1);
  CHECK(test::error_of([&] { MultiHeadAttention<float>({.channels = 10, .heads = 4}, rng); }) ==
        "MultiHeadAttention: 4 heads; they must divide 10 channels");
}
