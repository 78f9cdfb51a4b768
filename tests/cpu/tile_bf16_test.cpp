// SPDX-License-Identifier: MIT
#include "gram/cpu/tile_bf16.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;
using cpu::Pair16;

namespace {

Pair16 word(float first, float second) { return bf16(first).bits | Pair16{bf16(second).bits} << 16U; }
double rounded(float x) { return static_cast<double>(bf16(x)); }

/// Numbers of all kinds: ties, overflow to infinity, NaN, and random ones behind.
Tensor<float> difficult(const Shape& shape) {
  auto x = randn<float>(shape, 5);
  const float kinds[] = {1 + 0x1p-8F, 1 + 3 * 0x1p-8F, -1 - 0x1p-8F, 3.4e38F,       HUGE_VALF,
                         -HUGE_VALF,  std::nanf(""),   -0.0F,        1 + 0x1.02p-8F};
  for (Index i = 0; i < std::min<Index>(x.size(), 9); ++i) x.data()[x.size() - 1 - i] = kinds[i];
  return x;
}

}  // namespace

TEST_CASE("rows are rounded to nearest, ties to even, and end with zeros") {
  test::for_each_isa([] {
    const auto& tile = cpu::pair_tile_table<bf16>();
    for (Index n = 1; n <= 70; ++n) {
      const Index rows = 3, pitch = round_up(ceil_div(n, Index{2}), tile.lanes) + 1;
      const auto x = difficult({rows, n + 2});
      std::vector<Pair16> words(static_cast<std::size_t>(rows * pitch), 7);
      tile.round_rows(rows, n, x.data(), n + 2, words.data(), pitch);
      bool right = true;
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < pitch; ++j) {
          const float* const row = x.data() + i * (n + 2);
          const Pair16 expected =
              j == pitch - 1 ? 7 : word(2 * j < n ? row[2 * j] : 0.0F, 2 * j + 1 < n ? row[2 * j + 1] : 0.0F);
          right = right && words[static_cast<std::size_t>(i * pitch + j)] == expected;
        }
      CHECK(right);
    }
  });
}

TEST_CASE("pairs of rows are interleaved, plain and transposed, zeros behind the last row and column") {
  test::for_each_isa([] {
    const auto& tile = cpu::pair_tile_table<bf16>();
    for (const Index k : {1, 2, 3, 63, 64, 65, 131})
      for (const Index n : {Index{1}, Index{7}, tile.lanes, tile.lanes + 1, tile.width - 1, tile.width}) {
        const Index w = round_up(n, tile.lanes), pitch = w + 3;
        const auto plain = difficult({k, n + 1}), transposed = difficult({n, k + 3});
        const auto check = [&](const Tensor<float>& from, Index k_stride, Index n_stride) {
          std::vector<Pair16> words(static_cast<std::size_t>(ceil_div(k, Index{2}) * pitch), 7);
          tile.round_lanes(k, n, from.data(), k_stride, n_stride, words.data(), pitch);
          bool right = true;
          for (Index i = 0; i < k; i += 2)
            for (Index j = 0; j < pitch; ++j) {
              const auto at = [&](Index row) {
                return row < k && j < n ? from.data()[row * k_stride + j * n_stride] : 0.0F;
              };
              const Pair16 expected = j < w ? word(at(i), at(i + 1)) : 7;
              right = right && words[static_cast<std::size_t>(i / 2 * pitch + j)] == expected;
            }
          CHECK(right);
        };
        check(plain, n + 1, 1);
        check(transposed, 1, k + 3);
      }
  });
}

TEST_CASE("a tile is the product of rounded rows with taps and a rounded panel") {
  test::for_each_isa([] {
    const auto& tile = cpu::pair_tile_table<bf16>();
    for (Index columns = 1; columns <= tile.width; columns += columns < 9 ? 1 : 5)
      for (const Index rows : {Index{1}, tile.height(1, columns) - 1, tile.height(1, columns)})
        for (const bool in_lanes : {false, true})
          for (const bool add : {false, true}) {
            const Index taps = 2, depth = 6, pairs = depth / 2, w = round_up(columns, tile.lanes);
            const auto a = randn<float>({rows, taps * depth}, 1),
                       b = randn<float>({taps * depth, columns}, 2), bias = randn<float>({columns}, 3);
            const auto before = randn<float>({rows, columns + 1}, 4), c = before.clone();
            std::vector<Pair16> left(1000), panel(static_cast<std::size_t>(taps * pairs * w));
            tile.round_lanes(taps * depth, columns, b.data(), columns, 1, panel.data(), w);
            // The same words with those of a row side by side, or with those of a column.
            const Index row = in_lanes ? 1 : 30, step = in_lanes ? 20 : 1;
            if (in_lanes)
              tile.round_lanes(taps * depth, rows, a.data(), 1, taps * depth, left.data(), step);
            else
              tile.round_rows(rows, taps * depth, a.data(), taps * depth, left.data(), row);
            const Index offsets[] = {0, pairs * step};
            std::vector<const Pair16*> from;
            std::vector<float*> to;
            for (Index r = 0; r < tile.height(1, columns); ++r)
              from.push_back(left.data() + std::min(r, rows - 1) * row);
            for (Index r = 0; r < rows; ++r) to.push_back(c.data() + r * (columns + 1));
            const cpu::TileEpilogue<float> e{rows % 2 ? bias.data() : nullptr, add, rows % 3 == 0};
            tile.product(taps, offsets, pairs, step, from.data(), panel.data(), {a.data(), 0}, rows,
                         to.data(), columns, e);

            auto expected = before.clone();
            for (Index r = 0; r < rows; ++r)
              for (Index j = 0; j < columns; ++j) {
                double sum = (e.bias ? static_cast<double>(bias.at({j})) : 0) +
                             (add ? static_cast<double>(before.at({r, j})) : 0);
                for (Index i = 0; i < taps * depth; ++i) sum += rounded(a.at({r, i})) * rounded(b.at({i, j}));
                expected.at({r, j}) = static_cast<float>(e.relu ? std::max(sum, 0.0) : sum);
              }
            CHECK(test::close(c, expected, 1e-6));  // and the column behind is untouched
          }
  });
}
