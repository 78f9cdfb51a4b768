// SPDX-License-Identifier: MIT
// 1x1 convolutions are matrix products, the pixels being rows:
//     y (M, O) = x (M, C) W^T,    dx (M, C) = dy (M, O) W,    dW (O, C) = dy^T x.
// With a stride only every few pixels take part; for dW their rows are collected first: to copy C values is
// little beside O C multiplications.
//
// Groups are products side by side in the same rows. One after the other they would walk through all of
// memory once for each group, in short pieces; so a few rows are multiplied with the weights of all groups,
// which the cache holds.
#pragma once
#include "gram/cpu/conv2d_shape.hpp"
#include "gram/cpu/conv2d_tile.hpp"
#include "gram/cpu/gemm.hpp"
#include "gram/cpu/packed.hpp"

namespace gram::cpu {

/// True when every output looks at one pixel of the map.
inline bool is_pointwise(const Conv2dShape& s) { return s.taps() == 1 && s.padding == Pair(0); }
/// True when every pixel is looked at by one output.
inline bool is_dense_pointwise(const Conv2dShape& s) { return is_pointwise(s) && s.stride == Pair(1); }

/// The pixels of x that outputs look at, as rows (N H' W', C).
template <class T>
void collect_pixels(const Conv2dShape& s, const T* x, T* rows) {
  const auto& table = conv2d_table<T>();
  const Index h = s.out_h(), w = s.out_w();
  parallel_for(s.n * h, std::max<Index>(1, 16384 / (w * s.c)), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      table.gather(w, s.c, x + (i / h * s.h + i % h * s.stride.h) * s.w * s.c, s.stride.w * s.c, s.c,
                   rows + i * w * s.c, s.c);
  });
}

/// dw (+)= the weight gradient of a pointwise convolution.
template <class T>
void pointwise_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  const Index pixels = s.n * s.out_h() * s.out_w(), c = s.group_in(), o = s.group_out();
  Scratch<T> rows(s.stride == Pair(1) ? 0 : pixels * s.c);
  if (s.stride != Pair(1)) {
    collect_pixels(s, x, rows.data());
    x = rows.data();
  }
  if (s.groups == 1)
    return kernels::gemm(Cpu{}, {o, c, pixels}, dy, s.o, true, x, s.c, false, dw, c, {.add = add});

  // Each part of the pixels sums dw^T (C/G, O/G) of all groups: O/G is the narrow side, and tiles of few
  // columns are high.
  constexpr Index slice = 64, wanted = 16, partial_limit = (Index{8} << 20) / sizeof(T);
  const Index size = s.weight_size(), slices = ceil_div(pixels, slice);
  const Index parts = std::clamp<Index>(std::min(slices, partial_limit / size), 1, wanted);
  const Index memory = gemm_outer_scratch<T>(slice);
  Scratch<T> partial((parts + 1) * size), scratch(workers(parts) * memory);
  parallel_blocks(parts, [&](Index part, int worker) {
    T* const sum = partial.data() + part * size;
    const Index begin = part * slices / parts, end = (part + 1) * slices / parts;
    if (begin == end) std::fill_n(sum, size, T(0));
    for (Index b = begin; b < end; ++b) {
      const Index first = b * slice, count = std::min(slice, pixels - first), next = first + count;
      const Index more = b + 1 < end ? std::min(slice, pixels - next) : 0;
      MemoryAhead<T> ahead(x + next * s.c, more * s.c, dy + next * s.o, more * s.o);
      const bool behind = (pixels - next) * s.c >= TileTable<T>::max_rows;
      for (Index g = 0; g < s.groups; ++g)
        gemm_outer_slice({c, o, count}, x + first * s.c + g * c, s.c, behind,
                         Operand<T>{dy + first * s.o + g * o, s.o, 1}, sum + g * c * o, o,
                         TileEpilogue<T>{.add = b > begin}, ahead, scratch.data() + worker * memory);
    }
  });
  T* const total = partial.data() + parts * size;
  parallel_for(size, 4096, [&](Index begin, Index end) {
    tile_table<T>().reduce(parts, partial.data() + begin, size, total + begin, end - begin, {});
  });
  parallel_blocks(s.groups, [&](Index g, int) {
    for (Index i = 0; i < o; ++i)
      for (Index j = 0; j < c; ++j) {
        T& to = dw[(g * o + i) * c + j];
        const T value = total[(g * c + j) * o + i];
        to = add ? to + value : value;
      }
  });
}

/// y (pixels, groups * n) = epilogue(x (pixels, groups * k) times a packed matrix (k, n) for each group).
template <class T>
void multiply_groups(Index pixels, Index groups, Index k, Index n, const T* x, const T* panels, T* y,
                     const TileEpilogue<T>& e) {
  constexpr Index step = TileTable<T>::max_rows;
  const Index size = tile_table<T>().packed_size(k, n);
  parallel_for(pixels, 8 * step, [&](Index begin, Index end) {
    for (Index i = begin; i < end; i += step)
      for (Index g = 0; g < groups; ++g)
        multiply_packed({std::min(step, end - i), n, k}, x + (i * groups + g) * k, groups * k,
                        panels + g * size, y + (i * groups + g) * n, groups * n, from_column(e, g * n));
  });
}

/// dx (+)= the input gradient of a dense pointwise convolution.
template <class T>
void pointwise_input(const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  const Index pixels = s.n * s.h * s.w, c = s.group_in(), o = s.group_out();
  if (s.groups == 1)
    return kernels::gemm(Cpu{}, {pixels, c, o}, dy, s.o, false, weight, c, false, dx, s.c, {.add = add});
  const Index size = tile_table<T>().packed_size(o, c);
  Scratch<T> panels(s.groups * size);
  parallel_blocks(s.groups, [&](Index g, int) {
    pack(o, c, Operand<T>{weight + g * o * c, c, 1}, panels.data() + g * size);
  });
  multiply_groups<T>(pixels, s.groups, o, c, dy, panels.data(), dx, {.add = add});
}

}  // namespace gram::cpu
