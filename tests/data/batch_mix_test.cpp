// SPDX-License-Identifier: MIT
#include "gram/data/batch_mix.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("samples of Beta(a, a) have its mean and variance") {
  for (const double a : {0.2, 1.0, 2.0}) {
    Rng rng(1);
    double sum = 0, squares = 0;
    const int n = 4000;
    for (int i = 0; i < n; ++i) {
      const double x = draw_beta(a, rng) - 0.5;
      sum += x, squares += x * x;
    }
    CHECK(std::abs(sum / n) < 0.02);
    CHECK(squares / n ==
          doctest::Approx(1 / (4 * (2 * a + 1))).epsilon(0.05));  // a b / ((a + b)^2 (a + b + 1))
  }
  CHECK(test::error_of([] {
          Rng rng;
          draw_beta(0, rng);
        }) == "draw_beta: a is 0; it must lie in (0, 8]");
}

TEST_CASE("a batch is mixed in one of the ways that are possible") {
  Rng rng(2);
  const BatchMix none = draw_batch_mix({}, 8, rng);
  CHECK(none.share == 1);
  CHECK(none.box == TokenBox{});
  int cut = 0;
  for (int i = 0; i < 200; ++i) {
    const BatchMix mix = draw_batch_mix({.mixup = 1, .cutmix = true, .cut_share = 0.25}, {20, 30}, rng);
    CHECK(mix.share >= 0);
    CHECK(mix.share <= 1);
    if (mix.box.area() == 0) continue;
    ++cut;
    CHECK(mix.share == doctest::Approx(1 - static_cast<double>(mix.box.area()) / 600));
  }
  CHECK(cut > 25);
  CHECK(cut < 75);
}

TEST_CASE("mixed targets are those of both images, in their shares") {
  const Tensor<std::int64_t> labels({3}, {0, 1, 2});
  CHECK(test::close(mixed_targets<double>(labels, 3, {.share = 0.75}),
                    {0.75, 0, 0.25, 0, 1, 0, 0.25, 0, 0.75}, 1e-15));
  CHECK(test::close(mixed_targets<float>(labels, 3, {}, 0.3), smooth_one_hot<float>(labels, 3, 0.3), 1e-7));
  CHECK(test::error_of([&] { mixed_targets<float>(labels, 2, {}); }) ==
        "mixed_targets: the label of row 2 is 2, but the classes are 0 to 1");
}
