// SPDX-License-Identifier: MIT
#include "gram/nn/stripe_attention.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// The layer's result as a map (N, H, W, C).
template <Scalar T>
Tensor<T> attend(const StripeAttention<T>& layer, const Tensor<T>& qkv) {
  const Pair size(qkv.dim(1), qkv.dim(2));
  return join_windows<T>({layer(qkv)}, {layer.window(size)}, size);
}

/// The same by plain loops, of each pixel, with the window it lies in.
Tensor<double> textbook(const StripeAttention<double>& layer, const Tensor<double>& qkv) {
  const Index C = layer.get_v.weight.dim(0), A = qkv.dim(3) / 3, d = C / layer.heads, H = qkv.dim(1),
              W = qkv.dim(2);
  const Pair window = layer.window({H, W});
  const auto value = [&](Index n, Index y, Index x, Index third, Index c) {
    return qkv.at({n, y, x, third * A + layer.first + c});
  };
  return generate<double>({qkv.dim(0), H, W, C}, [&](Index i) {
    const Index c = i % C, x = i / C % W, y = i / (C * W) % H, n = i / (C * W * H);
    const Index top = y / window.h * window.h, left = x / window.w * window.w, head = c / d * d;
    double total = 0, mixed = 0, position = layer.get_v.bias.at({c});
    for (Index a = top; a < top + window.h; ++a)
      for (Index b = left; b < left + window.w; ++b) {
        double score = 0;
        for (Index k = head; k < head + d; ++k) score += value(n, y, x, 0, k) * value(n, a, b, 1, k);
        const double weight = std::exp(score / std::sqrt(double(d)));
        total += weight, mixed += weight * value(n, a, b, 2, c);
        if (std::abs(a - y) <= 1 && std::abs(b - x) <= 1)
          position += layer.get_v.weight.at({c, a - y + 1, b - x + 1, 0}) * value(n, a, b, 2, c);
      }
    return mixed / total + position;
  });
}

}  // namespace

TEST_CASE_TEMPLATE("attention in stripes agrees with the released code", T, float, double) {
  struct Case {
    const char* file;
    Stripes stripes;
  };
  for (const auto& [file, stripes] :
       {Case{"cswin_lepe_vertical", Stripes::vertical}, Case{"cswin_lepe_horizontal", Stripes::horizontal},
        Case{"cswin_lepe_full", Stripes::whole}}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    StripeAttention<T> layer({.channels = 16, .heads = 4, .stripes = stripes, .split = 2}, rng);
    const Agreement error = test::compare<T>(
        golden, layer,
        [&](const auto& in) {  // (3, N, L, C) in the file, which the comparison has made (3, L, C, N)
          return std::vector<Tensor<T>>{attend(layer, reshape(permute(in[0], {3, 1, 0, 2}), {2, 8, 8, 48}))};
        },
        {"qkv"}, {"y"});
    CHECK(error.output < 1e-6);
    CHECK(error.gradient < 1e-6);
  }
}

TEST_CASE(
    "attention in stripes is that of plain loops, on maps that are not square, on a part of the channels") {
  for (const Stripes stripes : {Stripes::vertical, Stripes::horizontal, Stripes::whole})
    for (const Index first : {0, 4}) {
      Rng rng(1);
      const StripeAttention<double> layer(
          {.channels = 6, .heads = 3, .stripes = stripes, .split = 3, .first = first}, rng);
      const auto qkv = randn<double>({2, 6, 9, 30}, 1);
      CHECK(test::close(attend(layer, qkv), textbook(layer, qkv), 1e-12));
    }
}

TEST_CASE("attention in stripes differentiates") {
  for (const Stripes stripes : {Stripes::vertical, Stripes::horizontal, Stripes::whole}) {
    Rng rng(1);
    StripeAttention<double> layer({.channels = 4, .heads = 2, .stripes = stripes, .split = 1, .first = 1},
                                  rng);
    CHECK(gradcheck(
              [&](const auto& qkv, const auto& kernel, const auto& bias) {
                static_cast<Tensor<double>&>(layer.get_v.weight) = kernel;
                static_cast<Tensor<double>&>(layer.get_v.bias) = bias;
                return layer(qkv);
              },
              randn<double>({2, 3, 5, 15}, 1), randn<double>({4, 3, 3, 1}, 2), randn<double>({4}, 3)) < 1e-6);
  }
}

TEST_CASE("the products of queries, keys and values are logged window by window") {
  Rng rng(1);
  StripeAttention<float> layer({.channels = 4, .stripes = Stripes::vertical, .split = 2}, rng);
  CallLog log;
  layer(zeros<float>({3, 8, 6, 12}));
  REQUIRE(log.calls().size() == 2);
  CHECK(log.calls()[0].products == 3 * 48 * 4 * 9);
  CHECK(log.calls()[1].matmuls == 2 * 3 * 48 * 4 * (8 * 2));
}

TEST_CASE("stripes and heads that do not divide are refused") {
  Rng rng(1);
  CHECK(test::error_of([&] { StripeAttention<float>({.channels = 10, .heads = 4}, rng); }) ==
        "StripeAttention: 4 heads; they must divide 10 channels");
  CHECK(test::error_of([&] { StripeAttention<float>({.channels = 4, .split = 0}, rng); }) ==
        "StripeAttention: split is 0; it must be positive");
  StripeAttention<float> layer({.channels = 4, .stripes = Stripes::vertical, .split = 4}, rng);
  CHECK(layer.window({6, 8}) == Pair(6, 4));
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 8, 6, 12}));
        }) == "StripeAttention: stripes of 4 pixels do not divide a map of (8, 6) pixels");
  layer.stripes = Stripes::horizontal;
  name_parameters(layer);
  CHECK(layer.window({8, 6}) == Pair(4, 6));
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 6, 8, 12}));
        }) == "get_v: StripeAttention: stripes of 4 pixels do not divide a map of (6, 8) pixels");
  CHECK(
      test::error_of([&] {
        layer(zeros<float>({1, 8, 8, 9}));
      }) ==
      "get_v: cut_windows: x has shape (1, 8, 8, 9), 3 blocks of 3 channels, but channels 0 to 4 of each are "
      "asked for");
}
