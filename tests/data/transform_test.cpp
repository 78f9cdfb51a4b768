// SPDX-License-Identifier: MIT
#include "gram/data/transform.hpp"

#include <set>

#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// (3, 2, 2) with values 0, 10, 20, ..
const Tensor<std::uint8_t> image({3, 2, 2}, {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110});

template <Scalar T>
Tensor<T> apply(const Transform<T>& transform, Rng rng) {
  Tensor<T> y(image.shape());
  transform(image.data(), 3, 2, rng, y.data());
  return y;
}

}  // namespace

TEST_CASE("channel statistics are those of the pixels in [0, 1]") {
  const Tensor<std::uint8_t> x({2, 1, 1, 2}, {0, 51, 255, 153});
  const auto [mean, deviation] = channel_statistics(x);
  CHECK(mean[0] == doctest::Approx(0.5));
  CHECK(mean[1] == doctest::Approx(0.4));
  CHECK(deviation[0] == doctest::Approx(0.5));
  CHECK(deviation[1] == doctest::Approx(0.2));
  CHECK(error_of([] {
          channel_statistics(Tensor<std::uint8_t>({0, 2, 2, 3}));
        }) == "channel_statistics: images have shape (0, 2, 2, 3); there is no pixel");
}

TEST_CASE("a transform normalises") {
  const auto plain = apply(Transform<double>({}, 2), Rng(1));
  for (Index i = 0; i < 12; ++i) CHECK(plain.data()[i] == doctest::Approx(static_cast<double>(10 * i) / 255));
  const auto y = apply(Transform<double>({.normalize = {{0.1, 0.2}, {0.5, 0.25}}}, 2), Rng(1));
  for (Index i = 0; i < 12; ++i)
    CHECK(y.data()[i] ==
          doctest::Approx((static_cast<double>(10 * i) / 255 - (i % 2 ? 0.2 : 0.1)) / (i % 2 ? 0.25 : 0.5)));
  CHECK(test::close(apply(Transform<bf16>({}, 2), Rng(1)), converted<bf16>(plain), 0.01));
}

TEST_CASE("flipped images are mirrored left to right, about half of them") {
  const Transform<float> transform({.flip = true}, 2);
  int flipped = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto y = apply(transform, Rng(seed));
    const bool mirrored = y.data()[0] != 0;
    flipped += mirrored;
    for (Index row = 0; row < 3; ++row)
      for (Index column = 0; column < 2; ++column)
        for (Index c = 0; c < 2; ++c)
          CHECK(y.at({row, column, c}) * 255 ==
                doctest::Approx(image.at({row, mirrored ? 1 - column : column, c})));
  }
  CHECK(flipped > 70);
  CHECK(flipped < 130);
}

TEST_CASE("padded crops move the image to every place, with black around it") {
  const Transform<float> transform({.pad = 1}, 2);
  std::set<std::pair<Index, Index>> places;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto y = apply(transform, Rng(seed));
    int fits = 0;
    for (Index top = -1; top <= 1; ++top)
      for (Index left = -1; left <= 1; ++left) {
        bool same = true;
        for (Index row = 0; row < 3; ++row)
          for (Index column = 0; column < 2; ++column)
            for (Index c = 0; c < 2; ++c) {
              const Index from_row = row + top, from_column = column + left;
              const bool inside = from_row >= 0 && from_row < 3 && from_column >= 0 && from_column < 2;
              same &= std::lround(y.at({row, column, c}) * 255) ==
                      (inside ? image.at({from_row, from_column, c}) : 0);
            }
        if (same) places.insert({top, left}), ++fits;
      }
    CHECK(fits == 1);
  }
  CHECK(places.size() == 9);
}

TEST_CASE("transform: statistics that do not fit are refused") {
  CHECK(error_of([] {
          Transform<float>({.normalize = {{0.5}, {0.5}}}, 3);
        }) == "Transform: 1 means and 1 deviations for 3 channels");
  CHECK(error_of([] {
          Transform<float>({.normalize = {{0.5, 0.5}, {0.5}}}, 2);
        }) == "Transform: 2 means and 1 deviations for 2 channels");
  CHECK(error_of([] {
          Transform<float>({.normalize = {{0.5}, {0}}}, 1);
        }) == "Transform: deviation 0 of channel 0; it must be positive");
}
