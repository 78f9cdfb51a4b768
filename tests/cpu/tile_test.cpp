// SPDX-License-Identifier: MIT
#include "gram/cpu/tile.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// The value of a finished element, from a sum made elsewhere.
template <class T>
double finished(double sum, double old, Index column, const cpu::TileEpilogue<T>& e, Index at = 0) {
  const double v = sum + (e.bias ? static_cast<double>(e.bias[column]) : 0) + (e.add ? old : 0) +
                   (e.residual ? static_cast<double>(e.residual[at]) : 0);
  return e.relu ? std::max(v, 0.0) : e.gelu ? 0.5 * v * std::erfc(-v / std::sqrt(2.0)) : v;
}

}  // namespace

TEST_CASE_TEMPLATE("a packed matrix holds whole panels, k outermost, zeros behind the last column", T, float,
                   double) {
  test::for_each_isa([] {
    const auto& tile = cpu::tile_table<T>();
    const Index k = 37;
    for (const Index n :
         {Index{1}, Index{7}, tile.lanes, tile.width, tile.width + 3, 2 * tile.width + tile.lanes + 1}) {
      const auto b = randn<T>({k, n}, 1), b_transposed = randn<T>({n, k}, 2),
                 spread = randn<T>({3 * k, 2 * n}, 3);
      const auto check = [&](const Tensor<T>& from, Index k_stride, Index n_stride) {
        auto packed = full<T>({tile.packed_size(k, n)}, T(9));
        for (Index first = 0; first < k; first += 10)  // in pieces, as parallel callers do
          tile.pack(first, std::min<Index>(10, k - first), k, n, from.data() + first * k_stride, k_stride,
                    n_stride, packed.data());
        bool right = true;
        for (Index i = 0; i < k; ++i)
          for (Index j = 0; j < round_up(n, tile.lanes); ++j) {
            const Index p = j / tile.width * tile.width,
                        w = std::min(tile.width, round_up(n - p, tile.lanes));
            const T expected = j < n ? from.data()[i * k_stride + j * n_stride] : T(0);
            right = right && packed.data()[p * k + i * w + j - p] == expected;
          }
        CHECK(right);
      };
      check(b, n, 1);
      check(b_transposed, 1, k);
      check(spread, 6 * n, 2);
    }
  });
}

TEST_CASE("the heights of tiles cover all rows and few that do not exist") {
  for (const bool narrow : {false, true})
    for (Index m = 1; m <= 40; ++m) {
      Index covered = 0;
      for (Index i = 0, height; i < m; i += height, covered += height)
        height = cpu::tile_height(m - i, narrow);
      CHECK(covered >= m);
      CHECK(covered - m <= (narrow || m < 3 ? 3 : 2));
    }
  CHECK(cpu::tile_height(128, false) == 6);
  CHECK(cpu::tile_height(8, false) == 4);
  CHECK(cpu::tile_height(6, false) == 6);
  CHECK(cpu::tile_height(8, true) == 4);
  CHECK(cpu::tile_height(9, true) == 12);
}

TEST_CASE_TEMPLATE("a tile is the product of rows with taps and a panel", T, float, double) {
  test::for_each_isa([] {
    const auto& tile = cpu::tile_table<T>();
    for (Index columns = 1; columns <= tile.width; columns += columns < 9 ? 1 : 5)
      for (const Index tall = tile.height(100, columns);
           const Index rows : {Index{1}, Index{3}, Index{4}, tall - 1, tall})
        for (const bool add : {false, true})
          for (const bool relu : {false, true}) {
            const Index taps = 3, k = 5, ld = 40, w = round_up(columns, tile.lanes);
            const Index offsets[] = {0, 7, 30};
            const auto a = randn<T>({rows, ld}, 1), b = randn<T>({taps * k, columns}, 2),
                       bias = randn<T>({columns}, 3);
            const auto before = randn<T>({rows, columns + 1}, 4), c = before.clone();
            Tensor<T> panel({taps * k, w});
            tile.pack(0, taps * k, taps * k, columns, b.data(), columns, 1, panel.data());
            std::vector<const T*> from;
            std::vector<T*> to;
            for (Index r = 0; r < tile.height(rows, columns); ++r)
              from.push_back(a.data() + std::min(r, rows - 1) * ld);
            for (Index r = 0; r < rows; ++r) to.push_back(c.data() + r * (columns + 1));
            const auto residual = randn<T>({rows, columns + 1}, 5);
            const cpu::TileEpilogue<T> e{
                rows % 2 ? bias.data() : nullptr,        add,      relu,
                add == relu ? residual.data() : nullptr, c.data(), columns % 2 == 0 && !relu};
            tile.product(taps, offsets, k, from.data(), panel.data(), rows, to.data(), columns, e);

            auto expected = before.clone();
            for (Index r = 0; r < rows; ++r)
              for (Index j = 0; j < columns; ++j) {
                double sum = 0;
                for (Index t = 0; t < taps; ++t)
                  for (Index i = 0; i < k; ++i)
                    sum += static_cast<double>(a.at({r, offsets[t] + i})) *
                           static_cast<double>(b.at({t * k + i, j}));
                expected.at({r, j}) = static_cast<T>(
                    finished(sum, static_cast<double>(before.at({r, j})), j, e, r * (columns + 1) + j));
              }
            CHECK(test::close(
                c, expected, std::is_same_v<T, float> ? 2e-6 : 1e-14));  // and the column behind is untouched
          }
  });
}

TEST_CASE_TEMPLATE("a tile is a sum of outer products of rows where they lie, or of a panel", T, float,
                   double) {
  test::for_each_isa([] {
    const auto& tile = cpu::tile_table<T>();
    const Index k = 11;
    for (const auto& [m, columns] : {std::pair{Index{29}, Index{1}},
                                     {29, tile.lanes},
                                     {32, tile.lanes},
                                     {29, tile.lanes + 1},
                                     {34, 2 * tile.lanes},
                                     {29, tile.width - 1},
                                     {31, tile.width},
                                     {32, tile.width}}) {
      const Index w = round_up(columns, tile.lanes), ld = m + 3;
      const auto x = randn<T>({k, ld}, 1), b = randn<T>({k, columns}, 2), bias = randn<T>({columns}, 3);
      Tensor<T> panel({k, w}), c({m, columns}), expected({m, columns});
      tile.pack(0, k, k, columns, b.data(), columns, 1, panel.data());
      const cpu::TileEpilogue<T> e{bias.data(), false, true};
      for (Index i = 0, height; i < m; i += height) {
        height = tile.height(m - i, columns);
        const Index rows = std::min(height, m - i);
        std::vector<T*> to;
        for (Index r = 0; r < rows; ++r) to.push_back(c.data() + (i + r) * columns);
        const cpu::TileRows<T> rows_x{x.data() + i, ld};
        const bool direct = columns % tile.lanes == 0;
        tile.outer(k, rows_x, {direct ? b.data() : panel.data(), direct ? columns : w}, rows_x, rows,
                   to.data(), columns, e);
      }
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < columns; ++j) {
          double sum = 0;
          for (Index t = 0; t < k; ++t)
            sum += static_cast<double>(x.at({t, i})) * static_cast<double>(b.at({t, j}));
          expected.at({i, j}) = static_cast<T>(finished(sum, 0, j, e));
        }
      CHECK(test::close(c, expected, std::is_same_v<T, float> ? 2e-6 : 1e-14));
    }
  });
}

TEST_CASE_TEMPLATE("parts are added in order and finished", T, float, double) {
  test::for_each_isa([] {
    const auto& tile = cpu::tile_table<T>();
    for (const Index parts : {0, 1, 5})
      for (const Index columns : {Index{1}, tile.lanes, 4 * tile.lanes, 5 * tile.lanes + 3}) {
        const auto partial = randn<T>({parts, columns + 2}, 1), bias = randn<T>({columns}, 2);
        const auto before = randn<T>({columns}, 3), c = before.clone(), residual = randn<T>({columns}, 4);
        const cpu::TileEpilogue<T> e{bias.data(), true, true, residual.data(), c.data()};
        tile.reduce(parts, partial.data(), columns + 2, c.data(), columns, e);
        Tensor<T> expected({columns});
        for (Index j = 0; j < columns; ++j) {
          T sum = 0;
          for (Index p = 0; p < parts; ++p) sum += partial.at({p, j});
          expected.at({j}) = std::max(T(0), sum + bias.at({j}) + residual.at({j}) + before.at({j}));
        }
        CHECK(test::close(c, expected, 1e-6));
      }
  });
}

TEST_CASE("relu at the end of a tile keeps NaN") {
  test::for_each_isa([] {
    const auto& tile = cpu::tile_table<float>();
    const float partial[] = {-1, std::nanf(""), 2};
    float c[3];
    tile.reduce(1, partial, 3, c, 3, {.relu = true});
    CHECK(c[0] == 0);
    CHECK(std::isnan(c[1]));
    CHECK(c[2] == 2);
  });
}
