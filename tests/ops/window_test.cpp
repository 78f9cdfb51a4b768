// SPDX-License-Identifier: MIT
#include "gram/ops/window.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;
using test::identical;

namespace {

struct Case {
  Shape map;
  Pair window;
  WindowChannels channels;
};
const Case cases[] = {{{2, 4, 6, 3}, {2, 3}, {}},
                      {{1, 4, 6, 6}, {4, 1}, {.parts = 3}},
                      {{3, 5, 3, 12}, {1, 3}, {.parts = 3, .begin = 1, .width = 2}},
                      {{2, 3, 4, 12}, {3, 2}, {.parts = 2, .begin = 4}},
                      {{2, 3, 4, 5}, {3, 4}, {.begin = 2, .width = 1}},
                      {{2, 2, 3, 4}, {1, 3}, {}},
                      {{1, 56, 56, 64}, {56, 1}, {.parts = 2, .begin = 1, .width = 31}},
                      {{0, 4, 4, 2}, {2, 2}, {}}};

template <Scalar T>
Tensor<T> plain_cut(const Tensor<T>& x, Pair window, WindowChannels c) {
  const Index H = x.dim(1), W = x.dim(2), block = x.dim(3) / c.parts,
              width = c.width ? c.width : block - c.begin;
  std::vector<T> values;
  for (Index n = 0; n < x.dim(0); ++n)
    for (Index i = 0; i < H; i += window.h)
      for (Index j = 0; j < W; j += window.w)
        for (Index a = i; a < i + window.h; ++a)
          for (Index b = j; b < j + window.w; ++b)
            for (Index part = 0; part < c.parts; ++part)
              for (Index k = 0; k < width; ++k) values.push_back(x.at({n, a, b, part * block + c.begin + k}));
  const Shape shape{x.dim(0) * (H / window.h) * (W / window.w), window.h * window.w, c.parts * width};
  return generate<T>(shape, [&](Index i) { return values[static_cast<std::size_t>(i)]; });
}

template <Scalar T>
void cut_every_way() {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.map));
    const auto x = randn<T>(c.map, 1);
    CHECK(identical(cut_windows(x, c.window, c.channels), plain_cut(x, c.window, c.channels)));
  }
}

}  // namespace

TEST_CASE("windows hold the pixels and channels that a plain loop finds") {
  cut_every_way<float>();
  cut_every_way<double>();
  cut_every_way<bf16>();
}

TEST_CASE("windows of several cuts of one map go back to their places, side by side") {
  const auto x = randn<float>({2, 4, 6, 5}, 1);
  for (const Pair window : {Pair(2, 3), Pair(4, 6), Pair(1, 6), Pair(4, 1)}) {
    CAPTURE(to_text(window));
    CHECK(identical(join_windows<float>({cut_windows(x, window)}, {window}, {4, 6}), x));
    const auto first = cut_windows(x, {4, 2}, {.width = 2}), second = cut_windows(x, window, {.begin = 2});
    CHECK(identical(join_windows<float>({first, second}, {{4, 2}, window}, {4, 6}), x));
  }
}

TEST_CASE("gradients of cut_windows and join_windows agree with central differences") {
  for (const Case& c : cases) {
    if (c.map.size() == 0 || c.map.size() > 1000) continue;
    CAPTURE(to_text(c.map));
    CHECK(gradcheck([&](const auto& x) { return cut_windows(x, c.window, c.channels); },
                    randn<double>(c.map, 1)) < 1e-6);
  }
  CHECK(gradcheck(
            [](const auto& x) {
              return std::vector{cut_windows(x, {1, 4}, {.parts = 2, .width = 1}),
                                 cut_windows(x, {3, 1}, {.parts = 2, .width = 2})};
            },
            randn<double>({2, 3, 4, 6}, 1)) < 1e-6);
  CHECK(gradcheck(
            [](const auto& a, const auto& b) {
              return join_windows<double>({a, b, b}, {{2, 1}, 2, 2}, 2);
            },
            randn<double>({2, 2, 3}, 1), randn<double>({1, 4, 2}, 2)) < 1e-6);
  CHECK(gradcheck(
            [](const auto& a) {
              return join_windows<double>({a}, {{1, 2}}, {3, 2});
            },
            randn<double>({6, 2, 3}, 1)) < 1e-6);
}

TEST_CASE("windows are the same for any number of threads") {
  const auto x = randn<float>({3, 28, 28, 96}, 1);
  CHECK(test::same_for_any_threads([&] {
    const auto cut = [](const auto& v) { return cut_windows(v, {28, 2}, {.parts = 3, .begin = 8}); };
    return std::vector{cut(x), test::gradient_of(cut, x),
                       join_windows<float>({cut_windows(x, {7, 28})}, {{7, 28}}, 28)};
  }));
}

TEST_CASE("windows that do not fit are refused") {
  const auto x = zeros<float>({2, 4, 6, 6});
  CHECK(error_of([&] {
          cut_windows(reshape(x, {8, 6, 6}), {2, 2});
        }) == "cut_windows: x has shape (8, 6, 6); (N, H, W, C) is needed");
  CHECK(error_of([&] { cut_windows(x, {0, 2}); }) == "cut_windows: window is (0, 2); it must be positive");
  CHECK(error_of([&] {
          cut_windows(x, {2, 4});
        }) ==
        "cut_windows: x has shape (2, 4, 6, 6), but windows of (2, 4) must divide its height and width");
  CHECK(error_of([&] {
          cut_windows(x, {3, 2});
        }) ==
        "cut_windows: x has shape (2, 4, 6, 6), but windows of (3, 2) must divide its height and width");
  CHECK(error_of([&] { cut_windows(x, 2, {.parts = 4}); }) ==
        "cut_windows: x has shape (2, 4, 6, 6), but its channels are not 4 equal blocks");
  CHECK(
      error_of([&] { cut_windows(x, 2, {.parts = 3, .begin = 1, .width = 2}); }) ==
      "cut_windows: x has shape (2, 4, 6, 6), 3 blocks of 2 channels, but channels 1 to 3 of each are asked "
      "for");

  const auto a = cut_windows(x, {4, 1});
  CHECK(error_of([&] {
          join_windows<float>({}, {}, {4, 6});
        }) == "join_windows: 0 tensors and 0 window sizes; one size to a tensor is needed");
  CHECK(error_of([&] {
          join_windows<float>({a}, {{3, 1}}, {4, 6});
        }) == "join_windows: windows of (3, 1) must divide the map of (4, 6)");
  CHECK(
      error_of([&] {
        join_windows<float>({a, rows(a, 0, 6)}, {{4, 1}, {4, 1}}, {4, 6});
      }) ==
      "join_windows: parts[1] has shape (6, 4, 6), but windows of (4, 1) on 2 maps of (4, 6) are (12, 4, C)");
  CHECK(error_of([&] {
          join_windows<float>({a}, {{2, 1}}, {4, 6});
        }) ==
        "join_windows: parts[0] has shape (12, 4, 6), but windows of (2, 1) on 1 maps of (4, 6) are (12, 2, "
        "C)");
}
