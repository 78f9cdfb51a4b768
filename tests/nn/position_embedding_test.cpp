// SPDX-License-Identifier: MIT
#include "gram/nn/position_embedding.hpp"

#include "support.hpp"

using namespace gram;

namespace {

/// Positions as numbers that grow along rows and columns, two channels.
Tensor<double> ramp(Pair grid) {
  Tensor<double> values({1, 1 + grid.h * grid.w, 2});
  values.at({0, 0, 0}) = -7, values.at({0, 0, 1}) = -8;
  for (Index i = 0; i < grid.h; ++i)
    for (Index j = 0; j < grid.w; ++j) {
      values.at({0, 1 + i * grid.w + j, 0}) = static_cast<double>(i) / static_cast<double>(grid.h - 1);
      values.at({0, 1 + i * grid.w + j, 1}) = static_cast<double>(j * j);
    }
  return values;
}

}  // namespace

TEST_CASE("position embeddings are resized with corners on corners, the class entry apart") {
  const auto same = ramp({3, 4});
  CHECK(test::identical(resize_position_embedding(same, {3, 4}, {3, 4}), same));
  const auto larger = resize_position_embedding(same, {3, 4}, {5, 7});
  REQUIRE(larger.shape() == Shape{1, 36, 2});
  CHECK(larger.at({0, 0, 0}) == -7);
  CHECK(larger.at({0, 0, 1}) == -8);
  // Rows 0, 1/4, .., 1 of a ramp; columns 0, 1/2, .., 3 between the squares 0, 1, 4, 9.
  const double columns[] = {0, 0.5, 1, 2.5, 4, 6.5, 9};
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 7; ++j) {
      CHECK(larger.at({0, 1 + i * 7 + j, 0}) == doctest::Approx(static_cast<double>(i) / 4));
      CHECK(larger.at({0, 1 + i * 7 + j, 1}) == doctest::Approx(columns[j]));
    }
  CHECK(gradcheck([](const auto& v) { return resize_position_embedding(v, {3, 4}, {2, 5}); }, same) < 1e-7);
  CHECK(test::error_of([&] {
          resize_position_embedding(same, {4, 4}, {2, 2});
        }) ==
        "resize_position_embedding: values have shape (1, 13, 2), but a grid of (4, 4) patches and a class "
        "token "
        "need (1, 17, D)");
}
