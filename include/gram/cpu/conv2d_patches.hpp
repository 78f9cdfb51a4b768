// SPDX-License-Identifier: MIT
// The weight gradient of a convolution with few input channels, as the first of a network. A kernel row over
// three channels fills half a vector at best, so vectors run over the outputs instead, which lie side by side
// in dy:  dw^T (taps C, O) = sum over pixels of patch (taps C) x dy (O).
// A patch is all that a pixel looks at. Patches are laid out for a slice of pixels at a time, in the L2
// cache: taps C copies for taps C O multiplications.
#pragma once
#include "gram/cpu/conv2d_direct.hpp"

namespace gram::cpu {

/// True when a kernel row leaves a quarter or more of its vectors empty, and the kernel is not dilated.
inline bool prefers_patches(const Conv2dShape& s, Index lanes) {
  const Index row = s.kw * s.c;
  return s.groups == 1 && s.dilation == Pair(1) && 4 * row <= 3 * round_up(row, lanes);
}

/// dw (+)= the weight gradient. T is float or double.
template <class T>
void patch_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  constexpr Index slice_pixels = 256, wanted = 16;
  const auto& table = conv2d_table<T>();
  const auto& tile = tile_table<T>();
  const Correlation c = forward_correlation(s);
  const SourceWindow<T> window{c, false};
  const auto slices = PixelBlocks::cut(s.n, c.h.out, ceil_div(slice_pixels, c.w.out), 1);
  const Index depth = s.taps() * s.c, parts = std::clamp<Index>(slices.count(), 1, wanted);
  const Index window_size = round_up(window.size(slices) + table.lanes, 16);
  constexpr Index behind = TileTable<T>::max_rows;
  const Index patches_size =
      round_up(slices.images * slices.rows * c.w.out * depth + std::max(behind, table.lanes), 16);
  const Index each =
      window_size + patches_size + gemm_outer_scratch<T>(slices.images * slices.rows * c.w.out);
  Scratch<T> scratch(workers(parts) * each), partial((parts + 1) * depth * s.o);

  parallel_blocks(parts, [&](Index part, int worker) {
    T* const copy = scratch.data() + worker * each;
    T* const patches = copy + window_size;
    T* const sum = partial.data() + part * depth * s.o;
    const Index begin = part * slices.count() / parts, end = (part + 1) * slices.count() / parts;
    if (begin == end) std::fill_n(sum, depth * s.o, T(0));
    for (Index b = begin; b < end; ++b) {
      const auto block = slices[b];
      const Source<T> source = window(x, block, 0, copy);
      const Index count = block.images * block.rows;
      for (Index r = 0; r < count; ++r)
        table.unfold({source.x + r / block.rows * source.image + r % block.rows * c.h.stride * source.row,
                      c.w.stride * s.c, source.row},
                     c.w.out, s.kh, s.kw * s.c, patches + r * c.w.out * depth);
      const Index pixels = count * c.w.out;
      const T* const gradient = dy + (block.image * c.h.out + block.y) * c.w.out * s.o;
      const auto next = slices[std::min(b + 1, end - 1)];
      MemoryAhead<T> ahead(gradient + pixels * s.o, b + 1 < end ? next.images * next.rows * c.w.out * s.o : 0,
                           x, 0);
      gemm_outer_slice({depth, s.o, pixels}, patches, depth, true, Operand<T>{gradient, s.o, 1}, sum, s.o,
                       TileEpilogue<T>{.add = b > begin}, ahead, patches + patches_size);
    }
  });

  T* const total = partial.data() + parts * depth * s.o;  // dw^T
  parallel_for(depth * s.o, 4096, [&](Index begin, Index end) {
    tile.reduce(parts, partial.data() + begin, depth * s.o, total + begin, end - begin, {});
  });
  for (Index o = 0; o < s.o; ++o)
    for (Index i = 0; i < depth; ++i) {
      T& to = dw[o * depth + i];
      to = add ? to + total[i * s.o + o] : total[i * s.o + o];
    }
}

}  // namespace gram::cpu
