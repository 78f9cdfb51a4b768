// SPDX-License-Identifier: MIT
#include "gram/nn/group_mix_block.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("a GroupMixFormer block agrees with the released code", T, float, double) {
  for (const bool training : {true, false}) {
    const Golden golden(training ? "gmf_block_train" : "gmf_block_eval");
    if (!golden.available()) return;
    Rng rng(1);
    GroupMixBlock<T> block({.channels = 40, .mlp_ratio = 2}, rng);
    train(block, training);
    const Agreement error =
        test::compare<T>(golden, block,
                         [&](const auto& in) {
                           return std::vector<Tensor<T>>{block(reshape(in[0], {2, 8, 8, 40}))};
                         },
                         {"x"}, {"y"});
    INFO(error.output, " ", error.gradient);
    CHECK(error.output < 1e-6);
    CHECK(error.gradient < 2e-6);
  }
}

TEST_CASE("a GroupMixFormer block differentiates") {
  Rng rng(2);
  GroupMixBlock<double> block({.channels = 10, .mlp_ratio = 1.5}, rng);
  for_each_parameter(block,
                     [&](const std::string&, auto& p) { p.assign(randn<double>(p.shape(), rng.key())); });
  CHECK(block.mlp.fc1.weight.shape() == Shape{15, 10});
  CHECK(gradcheck([&](const auto& x) { return block(x); }, randn<double>({2, 3, 2, 10}, 1)) < 1e-6);
}

TEST_CASE("drop path skips either branch of a block, in training only") {
  Rng rng(3);
  GroupMixBlock<double> block({.channels = 10, .drop_path = 0.5}, rng);
  const auto x = randn<double>({8, 2, 2, 10}, 1);
  for (DropPath<double>* branch : {&block.drop_path1, &block.drop_path2}) {
    block.drop_path1.rate = block.drop_path2.rate = 0;
    branch->rate = 0.5;
    train(block);
    CHECK_FALSE(test::identical(block(x).detach(), block(x).detach()));
    eval(block);
    CHECK(test::identical(block(x).detach(), block(x).detach()));
  }
}
