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

TEST_CASE("a bottleneck block whose norms take 1x1 convolutions in computes the same") {
  const Bottleneck<double>::Options options{
      .in = 8, .width = 4, .out = 16, .shortcut = true, .last_norm = 0.7, .drop_path = 0.3};
  Rng rng(1), same(1);
  Bottleneck<double> plain(options, rng), folded(options, same);
  fold_batch_norms(folded);
  const auto x = randn<double>({3, 4, 4, 8}, 2), dy = randn<double>({3, 4, 4, 16}, 3);
  for (const double drop_path : {0.0, 0.3}) {
    plain.drop_path->mode.training = folded.drop_path->mode.training = drop_path > 0;
    CHECK(folded.conv3.folds(zeros<double>({3, 4, 4, 4})));
    const auto expected = plain(x), found = folded(x);
    CHECK(test::close(found, expected, 1e-12));
    CHECK(!test::identical(found.detach(), expected.detach()));  // it was the other form
    backward(expected, dy), backward(found, dy);
    CHECK(test::close(folded.conv1.weight.grad(), plain.conv1.weight.grad(), 1e-11));
    CHECK(test::close(folded.conv3.weight.grad(), plain.conv3.weight.grad(), 1e-11));
    CHECK(test::close(folded.downsample->conv.weight.grad(), plain.downsample->conv.weight.grad(), 1e-11));
    CHECK(test::close(folded.bn3.weight.grad(), plain.bn3.weight.grad(), 1e-11));
    CHECK(test::close(folded.bn3.running_var, plain.bn3.running_var, 1e-12));
    CHECK(test::close(folded.downsample->norm.running_mean, plain.downsample->norm.running_mean, 1e-12));
    zero_grad(plain), zero_grad(folded);
  }
}

TEST_CASE("norms take convolutions in only where that saves time, in training, and for one process") {
  Rng rng(1);
  const auto pixels = [](Index n, Index channels) { return zeros<float>({1, 1, n, channels}); };
  const auto conv = [&](const Conv2d<float>::Options& o) { return Conv2d<float>(o, rng); };
  CHECK(conv({.in = 4, .out = 8, .bias = false}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8, .bias = false}).folds(pixels(31, 4)));
  CHECK(!conv({.in = 4, .out = 7, .bias = false}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8, .stride = 2, .bias = false}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8, .padding = 1, .bias = false}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8, .groups = 2, .bias = false}).folds(pixels(32, 4)));
  CHECK(!conv({.in = 4, .out = 8, .kernel = {1, 3}, .bias = false}).folds(pixels(32, 4)));

  Conv2d<float> layer({.in = 4, .out = 8, .bias = false}, rng);
  BatchNorm2d<float> norm({.channels = 8});
  const auto x = randn<float>({2, 5, 5, 4}, 1);
  const auto plain = norm(layer, x).detach();
  fold_batch_norms(norm);
  CHECK(!test::identical(norm(layer, x).detach(), plain));
  fold_batch_norms(norm, false);
  CHECK(test::identical(norm(layer, x).detach(), plain));
  eval(norm);
  const auto evaluated = norm(layer, x).detach();
  fold_batch_norms(norm);
  CHECK(test::identical(norm(layer, x).detach(), evaluated));
}

TEST_CASE("a norm that takes a convolution in says where an error is, and both write into the log") {
  Rng rng(1);
  Bottleneck<float> block({.in = 8, .width = 4, .out = 16, .shortcut = true}, rng);
  name_parameters(block);
  fold_batch_norms(block);
  const auto x = randn<float>({3, 4, 4, 8}, 2);
  CallLog folded;
  block(x);
  fold_batch_norms(block, false);
  CallLog plain;
  block(x);
  CHECK(folded.calls().size() == plain.calls().size());
  for (std::size_t i = 0; i < plain.calls().size(); ++i) {
    CHECK(folded.calls()[i].path == plain.calls()[i].path);
    CHECK(folded.calls()[i].products == plain.calls()[i].products);
  }
  CHECK(test::error_of([&] {
          fold_batch_norms(block);
          block.bn3.relu(block.conv3, zeros<float>({3, 4, 4, 4}), x);
        }) ==
        "conv3: folded_pointwise_norm: residual has shape (3, 4, 4, 8), but the result has shape (3, 4, 4, "
        "16); they must agree");
}
