// SPDX-License-Identifier: MIT
#include "gram/models/resnet_blocks.hpp"

#include "gram/nn/module.hpp"
#include "support.hpp"

using namespace gram;

namespace {

Bottleneck<double>::Options small(double drop_path) {
  return {.in = 6,
          .width = 3,
          .out = 5,
          .reduced = 4,
          .shortcut_bias = true,
          .last_norm = 1,
          .drop_path = drop_path};
}

}  // namespace

TEST_CASE("stochastic depth leaves some images of a bottleneck block the shortcut alone, in training only") {
  Rng rng(1), same(1);
  Bottleneck<double> plain(small(0), rng), block(small(0.5), same);
  const auto x = randn<double>({12, 4, 3, 6}, 2);
  const auto narrow = plain.bn2.relu(plain.conv2(plain.bn1.relu(plain.conv1(x))));
  const auto branch = plain.bn3(plain.conv3((*plain.se)(narrow))), shortcut = (*plain.downsample)(x);
  const auto skipped = relu(shortcut), doubled = relu(add(shortcut, mul(branch, 2.0))), y = block(x);
  int skips = 0, others = 0;
  for (Index n = 0; n < 12; ++n) {
    skips += test::close(y.alias_rows(n, n + 1), skipped.alias_rows(n, n + 1), 1e-12);
    others += test::close(y.alias_rows(n, n + 1), doubled.alias_rows(n, n + 1), 1e-12);
  }
  CHECK(skips > 1);
  CHECK(others > 1);
  CHECK(skips + others == 12);
  eval(plain), eval(block);  // one step of running statistics behind each of them
  CHECK(test::identical(block(x).detach(), plain(x).detach()));
}

TEST_CASE("a bottleneck block differentiates while it skips images") {
  Rng rng(3);
  Bottleneck<double> block(small(0.4), rng);
  const Rng start = block.drop_path->rng;
  CHECK(gradcheck(
            [&](const Tensor<double>& x) {
              block.drop_path->rng = start;
              return block(x);
            },
            randn<double>({4, 3, 2, 6}, 5)) < 1e-6);
}

TEST_CASE("a bottleneck block refuses a drop path outside [0, 1)") {
  Rng rng(1);
  CHECK(test::error_of([&] { Bottleneck<float>({.in = 4, .width = 2, .out = 4, .drop_path = -0.1}, rng); }) ==
        "DropPath: rate is -0.1; it must lie in [0, 1)");
}
