// SPDX-License-Identifier: MIT
#include "gram/loss/token_mixing.hpp"

#include "support.hpp"

using namespace gram;
using test::error_of;
using Labels = Tensor<std::int64_t>;

namespace {

bool inside(const TokenBox& box, Index i, Index j) {
  return box.top <= i && i < box.bottom && box.left <= j && j < box.right;
}

/// -sum_c t_c log softmax(z)_c of one row.
double row_cross_entropy(const double* z, const double* t, Index classes) {
  double total = 0, loss = 0;
  for (Index c = 0; c < classes; ++c) total += std::exp(z[c]);
  for (Index c = 0; c < classes; ++c) loss -= t[c] * (z[c] - std::log(total));
  return loss;
}

}  // namespace

TEST_CASE("boxes lie on the grid, with even sides unless cut at its border") {
  Rng rng(1);
  double area = 0;
  Index empty = 0, cut = 0;
  for (int i = 0; i < 4000; ++i) {
    const TokenBox box = draw_token_box({14, 10}, rng);
    REQUIRE(0 <= box.top);
    REQUIRE(box.top <= box.bottom);
    REQUIRE(box.bottom <= 14);
    REQUIRE(0 <= box.left);
    REQUIRE(box.left <= box.right);
    REQUIRE(box.right <= 10);
    const bool whole = box.top > 0 && box.bottom < 14 && box.left > 0 && box.right < 10;
    if (whole) CHECK(((box.bottom - box.top) % 2 == 0 && (box.right - box.left) % 2 == 0));
    cut += !whole;
    empty += box.area() == 0;
    area += static_cast<double>(box.area()) / 140;
  }
  // The same rule with numpy's generator, a million boxes: mean area 0.2573, empty 0.0402, at a border
  // 0.9222.
  CHECK(area / 4000 == doctest::Approx(0.2593).epsilon(0.05));
  CHECK(static_cast<double>(empty) / 4000 / 0.0398 == doctest::Approx(1).epsilon(0.13));
  CHECK(static_cast<double>(cut) / 4000 == doctest::Approx(0.834).epsilon(0.03));
}

TEST_CASE("boxes are a function of the source of random numbers") {
  Rng a(7), b(7), c(8);
  bool differ = false;
  for (int i = 0; i < 20; ++i) {
    const TokenBox box = draw_token_box(14, a);
    CHECK(box == draw_token_box(14, b));
    differ |= !(box == draw_token_box(14, c));
  }
  CHECK(differ);
  CHECK(a.position() == 60);
}

TEST_CASE("tokens in the box come from the image at the other end of the batch, and go back") {
  for (const Index N : {1, 2, 3, 4})
    for (const TokenBox& box : {TokenBox{}, TokenBox{0, 0, 5, 3}, TokenBox{1, 1, 4, 2}, TokenBox{0, 2, 5, 3},
                                TokenBox{4, 0, 5, 3}, TokenBox{2, 1, 2, 3}}) {
      const auto x = randn<double>({N, 5, 3, 2}, 1);
      const auto y = mix_tokens(x, box);
      for (Index n = 0; n < N; ++n)
        for (Index i = 0; i < 5; ++i)
          for (Index j = 0; j < 3; ++j)
            for (Index c = 0; c < 2; ++c)
              REQUIRE(y.at({n, i, j, c}) == x.at({inside(box, i, j) ? N - 1 - n : n, i, j, c}));
      CHECK(test::identical(mix_tokens(y, box), x));
      CHECK(gradcheck([&](const auto& v) { return mix_tokens(v, box); }, x) < 1e-7);
      CHECK(gradcheck(
                [&](const auto& v) {
                  return std::vector{mix_tokens(v, box), mul(v, v), mix_tokens(v, box)};
                },
                x) < 1e-6);
    }
  CHECK(mix_tokens(zeros<bf16>({2, 2, 2, 1}), {0, 0, 1, 1}).shape() == Shape{2, 2, 2, 1});
}

TEST_CASE("the token mixing loss is the sum of its textbook terms") {
  const Index N = 3, L = 6, C = 4;
  const auto z = randn<double>({N, C}, 1), dense = randn<double>({N, L, C}, 2);
  const auto t = rand<double>({N, C}, 0, 1, 3), u = rand<double>({N, L, C}, 0, 1, 4);
  for (const TokenBox& box : {TokenBox{}, TokenBox{0, 1, 2, 2}, TokenBox{0, 0, 2, 3}})
    for (const bool own_targets : {false, true}) {
      const double lambda = 1 - static_cast<double>(box.area()) / 6;
      double image = 0, tokens = 0;
      for (Index n = 0; n < N; ++n) {
        double mixed[4];
        for (Index c = 0; c < C; ++c) mixed[c] = lambda * t.at({n, c}) + (1 - lambda) * t.at({N - 1 - n, c});
        image += row_cross_entropy(z.data() + n * C, mixed, C) / 3;
        for (Index l = 0; l < L; ++l)
          tokens += row_cross_entropy(dense.data() + (n * L + l) * C,
                                      own_targets ? u.data() + (n * L + l) * C : t.data() + n * C, C) /
                    18;
      }
      const auto targets = own_targets ? u : Tensor<double>{};
      CHECK(token_mixing_loss(z, dense, box, t, targets).item() ==
            doctest::Approx(image + 0.5 * tokens).epsilon(1e-12));
      CHECK(token_mixing_loss(z, dense, box, t, targets, {.class_weight = 0.25, .token_weight = 2}).item() ==
            doctest::Approx(0.25 * image + 2 * tokens).epsilon(1e-12));
      CHECK(gradcheck([&](const auto& a, const auto& b) { return token_mixing_loss(a, b, box, t, targets); },
                      z, dense) < 1e-6);
    }
}

TEST_CASE("labels are the soft targets they stand for, smoothed or not") {
  const Labels labels({3}, {2, 0, 3});
  const auto z = randn<double>({3, 4}, 1), dense = randn<double>({3, 6, 4}, 2);
  const TokenBox box{0, 0, 2, 1};
  for (const double smoothing : {0.0, 0.1}) {
    const auto soft = smooth_one_hot<double>(labels, 4, smoothing);
    CHECK(token_mixing_loss(z, dense, box, labels, {}, {.smoothing = smoothing}).item() ==
          doctest::Approx(token_mixing_loss(z, dense, box, soft).item()).epsilon(1e-12));
  }
}

TEST_CASE("token mixing refuses what does not fit") {
  Rng rng(1);
  const auto x = zeros<float>({2, 3, 4, 1});
  CHECK(error_of([&] {
          draw_token_box({0, 3}, rng);
        }) == "draw_token_box: grid is (0, 3), but both extents must be positive");
  CHECK(error_of([&] {
          mix_tokens(x, {0, 1, 4, 2});
        }) == "mix_tokens: rows 0 to 4 and columns 1 to 2 do not lie on x (2, 3, 4, 1)");
  CHECK(error_of([&] {
          mix_tokens(x, {0, 2, 3, 1});
        }) == "mix_tokens: rows 0 to 3 and columns 2 to 1 do not lie on x (2, 3, 4, 1)");
  CHECK(error_of([&] {
          mix_tokens(zeros<float>({2, 3}), {});
        }) == "mix_tokens: x has shape (2, 3), but (N, H, W, C) is needed");
  const auto z = zeros<float>({2, 3});
  const Labels labels({2}, {0, 1});
  CHECK(
      error_of([&] {
        token_mixing_loss(z, zeros<float>({2, 4, 5}), {}, labels);
      }) ==
      "token_mixing_loss: token logits have shape (2, 4, 5), but logits have (2, 3); (2, L, 3) with at least "
      "one token is needed");
  CHECK(error_of([&] {
          token_mixing_loss(z, zeros<float>({2, 4, 3}), {0, 0, 3, 2}, labels);
        }) == "token_mixing_loss: the box has 6 tokens, but there are 4");
  CHECK(error_of([&] {
          token_mixing_loss(z, zeros<float>({2, 4, 3}), {}, labels, zeros<float>({2, 4}));
        }) == "token_mixing_loss: token targets have shape (2, 4), but token logits have (2, 4, 3)");
  CHECK(error_of([&] {
          token_mixing_loss(z, zeros<float>({2, 4, 3}), {}, Labels({2}, {0, 3}));
        }) == "cross_entropy: the label of row 1 is 3, but the classes are 0 to 2");
}
