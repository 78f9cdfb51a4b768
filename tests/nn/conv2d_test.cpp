// SPDX-License-Identifier: MIT
#include "gram/nn/conv2d.hpp"

#include "gram/nn/module.hpp"
#include "gram/nn/patch_embed.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("a convolution has its weight channels last, with PyTorch's bound") {
  Rng rng(1);
  Conv2d<float> conv({.in = 6, .out = 8, .kernel = 3, .stride = {2, 1}, .padding = 1, .groups = 2}, rng);
  CHECK(conv.weight.shape() == Shape{8, 3, 3, 3});
  CHECK(conv.weight.layout == Layout::conv);
  for (const float w : conv.weight.span()) CHECK(std::abs(w) <= 1 / std::sqrt(27.0F));
  name_parameters(conv);
  const CallLog log;
  CHECK(conv(zeros<float>({2, 5, 5, 6})).shape() == Shape{2, 3, 5, 8});
  CHECK(log.calls().at(0).products == 2 * 3 * 5 * 8 * 27);
}

TEST_CASE("a convolution refuses groups that do not divide its channels") {
  Rng rng(1);
  CHECK(test::error_of([&] { Conv2d<float>({.in = 6, .out = 8, .kernel = 3, .groups = 4}, rng); }) ==
        "Conv2d: 4 groups; they must divide 6 inputs and 8 outputs");
  CHECK(test::error_of([&] {
          Conv2d<float>({.in = 6, .out = 8, .kernel = {3, 0}}, rng);
        }) == "Conv2d: 6 inputs, 8 outputs, kernel (3, 0); all must be positive");
}

TEST_CASE("patches become tokens row by row, each from its own pixels") {
  Rng rng(1);
  const PatchEmbed<double> embed({.in = 1, .channels = 5, .patch = 2}, rng);
  auto image = zeros<double>({1, 4, 6, 1});
  const auto before = embed(image).detach().clone();
  CHECK(before.shape() == Shape{1, 2, 3, 5});
  image.at({0, 3, 2, 0}) = 1;  // in patch (1, 1)
  const auto after = embed(image);
  for (const Index i : {0, 1})
    for (const Index j : {0, 1, 2})
      CHECK((after.at({0, i, j, 0}) != before.at({0, i, j, 0})) == (i == 1 && j == 1));
  CHECK(test::error_of([&] {
          embed(zeros<double>({1, 5, 6, 1}));
        }) ==
        "PatchEmbed: input has shape (1, 5, 6, 1); height and width must be multiples of the patch (2, 2)");
}
