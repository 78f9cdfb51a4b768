// SPDX-License-Identifier: MIT
#include "gram/nn/separable_conv2d.hpp"

#include "gram/nn/module.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("a separable convolution filters each channel, then mixes them") {
  Rng rng(1);
  SeparableConv2d<double> layer({.in = 3, .out = 5, .kernel = 5, .stride = 2}, rng);
  const auto x = randn<double>({2, 7, 6, 3}, 1), y = layer(x);
  REQUIRE(y.shape() == Shape{2, 4, 3, 5});
  auto expected = zeros<double>(y.shape());
  for (Index i = 0; i < y.size(); ++i) {
    const Index o = i % 5, column = i / 5 % 3, row = i / 15 % 4, n = i / 60;
    for (Index t = 0; t < 75; ++t) {
      const Index c = t / 25, h = 2 * row + t / 5 % 5 - 2, w = 2 * column + t % 5 - 2;
      if (h < 0 || h >= 7 || w < 0 || w >= 6) continue;
      expected.data()[i] += layer.pointwise_conv.weight.at({o, c}) *
                            layer.conv1.weight.at({c, t / 5 % 5, t % 5, 0}) * x.at({n, h, w, c});
    }
  }
  CHECK(test::close(y, expected, 1e-13));
  CHECK(gradcheck([&](const auto& v) { return layer(v); }, x) < 1e-6);
  CHECK(parameter_count(layer) == 3 * 25 + 3 * 5);
}
