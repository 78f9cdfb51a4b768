// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/gemm.hpp"

namespace gram::kernels {

/// y[j] (+)= sum over i of x[i, j], x (rows, columns): the gradient of a bias. Blocks of rows are summed
/// first and then added in their order, so that long sums keep their digits.
template <class T>
void sum_rows(Cpu, Index rows, Index columns, const T* x, T* y, bool add) {
  using A = accum_t<T>;
  constexpr bool wide = std::is_same_v<A, T>;
  constexpr Index height = 512, width = 512;
  const auto& tile = cpu::tile_table<A>();
  const Index down = std::max<Index>(1, ceil_div(rows, height)), across = ceil_div(columns, width),
              blocks = down * across;
  Scratch<A> partial(down * columns), widened(wide ? 0 : workers(blocks) * height * width);
  parallel_blocks(blocks, [&](Index block, int worker) {
    const Index i = block / across * height, j = block % across * width;
    const Index m = std::min(height, rows - i), n = std::min(width, columns - j);
    A* const to = &partial[block / across * columns + j];
    if constexpr (wide) {
      tile.reduce(m, x + i * columns + j, columns, to, n, {});
    } else {
      A* const block_x = &widened[worker * height * width];
      cpu::widen(1, m, n, x + i * columns + j, columns, 0, block_x);
      tile.reduce(m, block_x, n, to, n, {});
    }
  });
  if constexpr (wide) {
    tile.reduce(down, partial.data(), columns, y, columns, {.add = add});
  } else {
    Scratch<A> total(columns);
    tile.reduce(down, partial.data(), columns, total.data(), columns, {});
    for (Index j = 0; j < columns; ++j) y[j] = T(add ? y[j] + total[j] : total[j]);
  }
}

}  // namespace gram::kernels
