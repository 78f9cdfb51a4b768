// SPDX-License-Identifier: MIT
#include "gram/nn/dropout.hpp"

#include "gram/nn/module.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("dropout drops in training only, a new mask each time, the same for the same seed") {
  Rng rng(1), same(1);
  Dropout<float> drop(0.25, rng), twin(0.25, same);
  const auto x = ones<float>({4000});
  const auto first = drop(x), second = drop(x);
  Index zero = 0;
  for (const float v : first.span()) {
    CHECK((v == 0 || v == 1 / 0.75F));
    zero += v == 0;
  }
  CHECK(double(zero) / 4000 == doctest::Approx(0.25).epsilon(0.1));
  CHECK_FALSE(test::identical(first, second));
  CHECK(test::identical(first, twin(x)));
  eval(drop);
  CHECK(test::identical(drop(x), x));
}

TEST_CASE("drop path drops whole samples") {
  Rng rng(2);
  DropPath<float> drop(0.5, rng);
  const auto y = drop(ones<float>({64, 2, 3}));
  Index dropped = 0;
  for (Index n = 0; n < 64; ++n) {
    for (Index i = 0; i < 6; ++i) CHECK(y.data()[6 * n + i] == y.data()[6 * n]);
    dropped += y.data()[6 * n] == 0;
  }
  CHECK(dropped > 16);
  CHECK(dropped < 48);
}

TEST_CASE("rates outside [0, 1) are refused") {
  Rng rng(1);
  CHECK(test::error_of([&] { Dropout<float>(1.0, rng); }) == "Dropout: rate is 1; it must lie in [0, 1)");
  CHECK(test::error_of([&] { DropPath<float>(-0.5, rng); }) ==
        "DropPath: rate is -0.5; it must lie in [0, 1)");
}
