// SPDX-License-Identifier: MIT
#include "gram/nn/conv_position.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("the convolutional relative position agrees with the released code", T, float, double) {
  const Golden golden("gmf_crpe");
  if (!golden.available()) return;
  Rng rng(1);
  ConvRelativePosition<T> layer({.channels = 32}, rng);
  // (N, heads, L, c) of the file arrives as (N, L, c, heads)
  const auto map = [](const Tensor<T>& x) { return reshape(transpose(x, 2, 3), {x.dim(0), 8, 8, 32}); };
  const Agreement error =
      test::compare<T>(golden, layer,
                       [&](const auto& in) {
                         const Tensor<T> y = layer(map(in[0]), map(in[1]));
                         return std::vector<Tensor<T>>{transpose(reshape(y, {2, 64, 8, 4}), 2, 3)};
                       },
                       {"q", "v"}, {"y"});
  INFO(error.output, " ", error.gradient);
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE("the first two heads look 3 wide, the next three 5 and the last three 7") {
  Rng rng(1);
  ConvRelativePosition<double> layer({.channels = 8}, rng);
  auto v = zeros<double>({1, 9, 9, 8});
  for (Index c = 0; c < 8; ++c) v.at({0, 4, 4, c}) = 1;
  for (auto& conv : layer.conv_list) conv.bias.assign(zeros<double>(conv.bias.shape()));
  const auto y = layer(ones<double>(v.shape()), v);
  for (Index c = 0; c < 8; ++c) {
    const Index reach = c < 2 ? 1 : c < 5 ? 2 : 3;
    for (Index i = 0; i < 9; ++i) CHECK((y.at({0, i, 4, c}) != 0) == (std::abs(i - 4) <= reach));
  }
}

TEST_CASE("positions by convolutions differentiate") {
  Rng rng(2);
  ConvRelativePosition<double> relative({.channels = 8}, rng);
  ConvPositionEncoding<double> absolute({.channels = 3}, rng);
  CHECK(gradcheck([&](const auto& q, const auto& v) { return relative(q, v); },
                  randn<double>({2, 3, 5, 8}, 1), randn<double>({2, 3, 5, 8}, 2)) < 1e-6);
  CHECK(gradcheck([&](const auto& x) { return absolute(x); }, randn<double>({2, 3, 5, 3}, 1)) < 1e-6);
}

TEST_CASE("the position encoding is added to its input") {
  Rng rng(2);
  ConvPositionEncoding<double> layer({.channels = 3}, rng);
  layer.proj.weight.assign(zeros<double>(layer.proj.weight.shape()));
  const auto x = randn<double>({1, 2, 2, 3}, 1), y = layer(x);
  for (Index i = 0; i < x.size(); ++i) CHECK(y.data()[i] == x.data()[i] + layer.proj.bias.data()[i % 3]);
}

TEST_CASE("the relative position refuses channels that eight heads do not divide") {
  Rng rng(1);
  CHECK(test::error_of([&] { ConvRelativePosition<float>({.channels = 12}, rng); }) ==
        "ConvRelativePosition: 12 channels; a positive multiple of eight, the number of heads, is needed");
}
