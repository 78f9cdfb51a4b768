// SPDX-License-Identifier: MIT
#include "gram/nn/folded.hpp"

#include "gram/nn/conv2d.hpp"
#include "gram/nn/gramian_head.hpp"
#include "gram/nn/linear.hpp"
#include "gram/nn/module.hpp"
#include "support.hpp"

using namespace gram;

namespace {

/// A convolution and a norm with statistics and weights of its own.
template <Scalar T>
struct ConvNorm {
  ConvNorm(const typename Conv2d<T>::Options& o, Rng& rng) : conv(o, rng), norm({.channels = o.out}) {
    const auto random = [&](double low, double high) {
      return rand<accum_t<T>>({o.out}, low, high, rng.key());
    };
    norm.weight.assign(random(-2, 2)), norm.bias.assign(random(-1, 1));
    norm.running_mean = Buffer<accum_t<T>>(random(-1, 1));
    norm.running_var = Buffer<accum_t<T>>(random(0.1, 2));
  }
  Tensor<T> operator()(const Tensor<T>& x) { return norm.relu(conv, x); }
  void visit(auto&& parts) { parts("conv", conv), parts("norm", norm); }

  Conv2d<T> conv;
  BatchNorm2d<T> norm;
};

}  // namespace

TEST_CASE("a norm folded into its convolution changes nothing but rounding") {
  Rng rng(1);
  for (const Index groups : {1, 2, 6})
    for (const Index kernel : {1, 3})
      for (const bool biased : {true, false}) {
        CAPTURE(groups);
        CAPTURE(kernel);
        CAPTURE(biased);
        ConvNorm<double> layer({.in = 6,
                                .out = 12,
                                .kernel = kernel,
                                .stride = 1,
                                .padding = kernel / 2,
                                .groups = groups,
                                .bias = biased},
                               rng);
        const auto x = randn<double>({2, 5, 7, 6}, 1), residual = randn<double>({2, 5, 7, 12}, 2);
        eval(layer);
        const auto plain = layer.norm(layer.conv(x)), with_relu = layer.norm.relu(layer.conv(x)),
                   with_both = layer.norm.relu(layer.conv(x), residual);
        fuse_for_inference(layer);
        const NoGrad off;
        CHECK(test::close(layer.norm(layer.conv, x), plain.detach(), 1e-14));
        CHECK(test::close(layer.norm.relu(layer.conv, x), with_relu.detach(), 1e-14));
        CHECK(test::close(layer.norm.relu(layer.conv, x, residual), with_both.detach(), 1e-14));
      }
}

TEST_CASE("what is prepared is used without gradients, and ends with train and eval") {
  Rng rng(1);
  ConvNorm<float> layer({.in = 3, .out = 8, .kernel = 3, .padding = 1}, rng);
  const auto x = randn<float>({2, 6, 6, 3}, 1);
  const auto prepared = [&] { return layer.conv.weight.prepared != nullptr; };
  fuse_for_inference(layer);
  CHECK_FALSE(layer.norm.mode.training);
  CHECK_FALSE(prepared());
  layer(x);  // recorded, so the gradient must exist
  CHECK_FALSE(prepared());
  {
    const NoGrad off;
    layer(x);
    CHECK(prepared());
  }
  eval(layer);
  CHECK_FALSE(prepared());
  {
    const NoGrad off;
    layer(x);
    CHECK_FALSE(prepared());
  }
}

TEST_CASE("a layer is prepared anew when its weight changes or it is called without its norm") {
  Rng rng(1);
  ConvNorm<double> layer({.in = 4, .out = 4, .kernel = 3, .padding = 1}, rng);
  const auto x = randn<double>({1, 4, 4, 4}, 1);
  fuse_for_inference(layer);
  const NoGrad off;
  const auto first = layer(x);
  layer.conv.weight.assign(mul(layer.conv.weight, 2.0));
  const auto second = layer(x);
  CHECK_FALSE(test::close(second, first, 1e-3));
  CHECK(test::close(layer.conv(x), conv2d(x, layer.conv.weight, layer.conv.bias, layer.conv.options), 1e-14));
  CHECK(test::identical(layer(x), second));
}

TEST_CASE("1x1 convolutions of maps, tokens and vectors") {
  Rng rng(1);
  for (const Index groups : {1, 3}) {
    PointwiseNorm<double> layer({.in = 6, .out = 9, .groups = groups}, rng);
    layer.norm.running_mean = Buffer<double>(randn<double>({9}, 5));
    for (const Shape& shape : {Shape{2, 3, 4, 6}, Shape{2, 5, 6}, Shape{7, 6}}) {
      const auto x = randn<double>(shape, 3);
      eval(layer);
      const auto plain = layer.relu(x).detach(), alone = layer.conv(x).detach();
      fuse_for_inference(layer);
      const NoGrad off;
      CHECK(test::close(layer.relu(x), plain, 1e-14));
      CHECK(test::close(layer.conv(x), alone, 1e-14));
    }
  }
}

TEST_CASE("linear layers give the same bits with prepared weights") {
  Rng rng(1);
  Linear<float> layer({.in = 37, .out = 83}, rng);
  for (const Shape& shape : {Shape{300, 37}, Shape{2, 40, 37}, Shape{70, 37}, Shape{3, 37}, Shape{0, 37}}) {
    const NoGrad off;
    const auto x = randn<float>(shape, 3);
    eval(layer);
    const auto plain = layer(x);
    fuse_for_inference(layer);
    CHECK(test::identical(layer(x), plain));
  }
}

TEST_CASE("what does not fit is refused as without preparation") {
  Rng rng(1);
  ConvNorm<float> layer({.in = 3, .out = 8, .kernel = 3}, rng);
  PointwiseNorm<float> pointwise({.in = 3, .out = 8}, rng);
  name_parameters(layer);
  fuse_for_inference(layer), fuse_for_inference(pointwise);
  const NoGrad off;
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 5, 5, 4}));
        }) == "conv: conv2d: weight (8, 3, 3, 3) expects 3 input channels, input (1, 5, 5, 4) has 4");
  CHECK(test::error_of([&] {
          layer.norm(layer.conv, zeros<float>({1, 5, 5, 3}), zeros<float>({1, 3, 3, 4}));
        }) ==
        "conv: conv2d: residual has shape (1, 3, 3, 4), but the result has shape (1, 3, 3, 8); they must "
        "agree");
  CHECK(test::error_of([&] {
          pointwise(zeros<float>({5, 4}));
        }) == "linear: weight (8, 3) expects 3 input channels, input has shape (5, 4)");
}
