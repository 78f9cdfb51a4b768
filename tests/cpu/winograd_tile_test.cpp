// SPDX-License-Identifier: MIT
#include "gram/cpu/winograd_tile.hpp"

#include "gram/core/shape.hpp"
#include "gram/tensor/create.hpp"
#include "isa_and_threads.hpp"

using namespace gram;
using cpu::WinogradGrid;
using cpu::WinogradPlanes;
using cpu::WinogradTaps;

namespace {

/// One matrix for each product, of `rows` rows of C channels.
template <class T>
struct Planes {
  Planes(Index tile, Index row_count, Index channels)
      : rows(row_count), C(channels), values(randn<T>({(tile + 2) * (tile + 2), rows, C}, 5)) {}
  WinogradPlanes<T> planes() const { return {values.data(), rows * C, C}; }
  Index rows, C;
  Tensor<T> values;
};

template <class T>
double inner(const Tensor<T>& a, const Tensor<T>& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

template <class T, class F>
void for_each_tile(F&& f) {
  test::for_each_isa([&] {
    for (const Index tile : {2, 4}) {
      CAPTURE(tile);
      f(tile, tile == 2 ? cpu::winograd_table<T>().two : cpu::winograd_table<T>().four);
    }
  });
}

constexpr Index C = 16, H = 7, W = 9, N = 2;  // maps that tiles do not divide
template <class T>
constexpr double rounding = std::is_same_v<T, double> ? 1e-12 : 1e-4;

}  // namespace

TEST_CASE_TEMPLATE("transformed tiles times transformed kernels are a correlation", T, float, double) {
  for_each_tile<T>([](Index tile, const cpu::WinogradTransforms<T>& transforms) {
    const Index rows = (H + tile - 1) / tile, columns = (W + tile - 1) / tile, tiles = N * rows * columns;
    const auto x = randn<T>({N, H, W, C}, 1), w = randn<T>({1, 3, 3, C}, 2), y = full<T>({N, H, W, C}, T(7));
    Planes<T> v(tile, tiles, C), u(tile, 1, C);
    transforms.input({H, W, C, rows, columns, -1, -1}, 0, tiles, x.data(), v.planes());
    transforms.weight(1, C, {w.data(), 9 * C, C}, u.planes());
    for (Index p = 0; p < v.values.dim(0); ++p)
      for (Index i = 0; i < tiles; ++i)
        for (Index c = 0; c < C; ++c) v.values.data()[(p * tiles + i) * C + c] *= u.values.data()[p * C + c];
    transforms.output({H, W, C, rows, columns, 0, 0}, 0, tiles, v.planes(), {}, y.data());

    const auto expected = generate<T>({N, H, W, C}, [&](Index i) {
      const Index c = i % C, column = i / C % W, row = i / (C * W) % H, n = i / (C * W * H);
      double sum = 0;
      for (Index a = 0; a < 3; ++a)
        for (Index b = 0; b < 3; ++b) {
          const Index h = row + a - 1, k = column + b - 1;
          if (h >= 0 && h < H && k >= 0 && k < W)
            sum += static_cast<double>(w.at({0, a, b, c})) * static_cast<double>(x.at({n, h, k, c}));
        }
      return static_cast<T>(sum);
    });
    CHECK(test::close(y, expected, rounding<T>));
  });
}

TEST_CASE_TEMPLATE("the transforms of gradients are the transposes of those of the forward pass", T, float,
                   double) {
  for_each_tile<T>([](Index tile, const cpu::WinogradTransforms<T>& transforms) {
    const Index rows = (H + tile - 1) / tile, columns = (W + tile - 1) / tile, tiles = N * rows * columns;
    const WinogradGrid grid{H, W, C, rows, columns, 0, 0};
    const auto near = [](double value) { return doctest::Approx(value).epsilon(rounding<T>); };

    const auto dy = randn<T>({N, H, W, C}, 1), y = zeros<T>({N, H, W, C});
    Planes<T> m(tile, tiles, C), z(tile, tiles, C);
    transforms.output(grid, 0, tiles, m.planes(), {}, y.data());
    transforms.gradient(grid, 0, tiles, dy.data(), z.planes());
    CHECK(inner(y, dy) == near(inner(m.values, z.values)));

    constexpr Index kernels = 5;
    const auto w = randn<T>({kernels, 3, 3, C}, 2), dw = full<T>({kernels, 3, 3, C}, T(1));
    Planes<T> u(tile, kernels, C), du(tile, kernels, C);
    transforms.weight(kernels, C, {w.data(), 9 * C, C}, u.planes());
    transforms.weight_gradient(kernels, C, du.planes(), {dw.data(), 9 * C, C}, false);
    CHECK(inner(w, dw) == near(inner(u.values, du.values)));
    const auto twice = dw.clone();
    transforms.weight_gradient(kernels, C, du.planes(), {twice.data(), 9 * C, C}, true);
    CHECK(
        test::close(twice, generate<T>(dw.shape(), [&](Index i) { return 2 * dw.data()[i]; }), rounding<T>));
  });
}
