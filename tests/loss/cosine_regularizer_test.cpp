// SPDX-License-Identifier: MIT
#include "gram/loss/cosine_regularizer.hpp"

#include "support.hpp"

using namespace gram;
using Maps = std::vector<Tensor<double>>;

namespace {

Maps random_maps(std::size_t count, const Shape& shape) {
  Maps maps;
  for (std::size_t k = 0; k < count; ++k) maps.push_back(rand<double>(shape, -0.2, 1, 10 + k));
  return maps;
}

/// Mean over n, i, j of the cosine, over the heads, of two maps.
double mean_similarity(const Tensor<double>& a, const Tensor<double>& b) {
  double total = 0;
  for (Index n = 0; n < a.dim(0); ++n)
    for (Index i = 0; i < a.dim(2); ++i)
      for (Index j = 0; j < a.dim(3); ++j) {
        double ab = 0, aa = 0, bb = 0;
        for (Index h = 0; h < a.dim(1); ++h) {
          const double x = a.at({n, h, i, j}), y = b.at({n, h, i, j});
          ab += x * y, aa += x * x, bb += y * y;
        }
        total += ab / std::sqrt(aa * bb);
      }
  return total / static_cast<double>(a.dim(0) * a.dim(2) * a.dim(3));
}

}  // namespace

TEST_CASE("the cosine regulariser is the scaled mean similarity of the first consecutive maps") {
  const Maps maps = random_maps(5, {2, 3, 4, 5});
  for (const Index pairs : {1, 2, 4}) {
    double expected = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(pairs); ++k)
      expected += mean_similarity(maps[k], maps[k + 1]);
    CHECK(cosine_regularizer(maps, {.pairs = pairs}).item() ==
          doctest::Approx(0.1 / static_cast<double>(pairs) * expected).epsilon(1e-12));
  }
  CHECK(cosine_regularizer(maps, {.pairs = 4, .weight = -3}).item() ==
        doctest::Approx(-30 * cosine_regularizer(maps, {.pairs = 4}).item()).epsilon(1e-12));
}

TEST_CASE("the cosine regulariser differentiates in every map it reads, and in no other") {
  const Maps maps = random_maps(3, {2, 3, 2, 3});
  CHECK(gradcheck(
            [](const auto& a, const auto& b, const auto& c) {
              return cosine_regularizer(Maps{a, b, c}, {.pairs = 2, .weight = 1});
            },
            maps[0], maps[1], maps[2]) < 1e-6);
  CHECK(gradcheck(  // with a map that a share block handed on
            [](const auto& a, const auto& b) {
              return cosine_regularizer(Maps{a, a, b, b}, {.pairs = 3, .weight = 1});
            },
            maps[0], maps[1]) < 1e-6);
  Maps leaves = random_maps(3, {2, 3, 2, 3});
  for (auto& map : leaves) map.set_requires_grad();
  backward(cosine_regularizer(leaves, {.pairs = 1}));
  CHECK(leaves[1].grad().defined());
  CHECK_FALSE(leaves[2].grad().defined());
}

TEST_CASE("a map handed on has similarity one, whether it is the same tensor or a copy") {
  const auto map = random_maps(1, {2, 3, 2, 2})[0];
  CHECK(cosine_regularizer(Maps{map, map}, {.pairs = 1}).item() == doctest::Approx(0.1).epsilon(1e-12));
  CHECK(cosine_regularizer(Maps{map, map.clone()}, {.pairs = 1}).item() ==
        doctest::Approx(0.1).epsilon(1e-12));
  CHECK(cosine_regularizer(Maps{map, mul(map, -1)}, {.pairs = 1}).item() ==
        doctest::Approx(-0.1).epsilon(1e-12));
  const auto nothing = zeros<double>({1, 2, 2, 2});
  CHECK(cosine_regularizer(Maps{nothing, nothing.clone()}, {.pairs = 1}).item() == 0);
}

TEST_CASE("the cosine regulariser refuses too few maps and maps of several sizes") {
  const Maps maps = random_maps(2, {1, 2, 3, 3});
  CHECK(test::error_of([&] { cosine_regularizer(maps); }) ==
        "cosine_regularizer: 12 pairs of consecutive maps, but there are 2 maps");
  CHECK(test::error_of([&] { cosine_regularizer(maps, {.pairs = 0}); }) ==
        "cosine_regularizer: 0 pairs of consecutive maps, but there are 2 maps");
  CHECK(test::error_of([&] {
          cosine_regularizer(Maps{maps[0], zeros<double>({1, 2, 4, 4})}, {.pairs = 1});
        }) ==
        "cosine_regularizer: map 1 has shape (1, 2, 4, 4), but map 0 has (1, 2, 3, 3); all must be (N, "
        "heads, L, "
        "L) alike");
}
