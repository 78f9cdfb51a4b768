// SPDX-License-Identifier: MIT
// What convolutions need beside the micro-kernel of tile.hpp: padded copies of input rows, and the tile of
// the weight gradient.
#pragma once
#include <algorithm>

#include "gram/cpu/conv2d_shape.hpp"
#include "gram/cpu/simd.hpp"

namespace gram::cpu {

/// Pixels that a product over pixels runs through. Pixel (r, p), r < rows, p < width, has its m values of dy
/// at dy[i / strip * pixels * strip + (r width + p) strip + i % strip] and its n values of x at x[row[r] + p
/// step].
template <class T>
struct PixelProduct {
  /// Outputs side by side in a copy of dy; every tile's height divides it.
  static constexpr Index strip = 24;

  Index rows, width;
  const T* dy;
  const T* x;
  const Index* row;
  Index step;
  Index pixels() const { return rows * width; }
};

/// The inputs of a row of output pixels: kernel row a of pixel p begins at x[p step + a row].
template <class T>
struct PatchRow {
  const T* x;
  Index step, row;
};

template <class T>
struct Conv2dTable {
  Index lanes;       ///< elements of a vector
  Index tile_width;  ///< columns of the widest tile of `pixel_product`: it may read this far beyond x unless
                     ///< n is larger

  /// y[p y_step + i] = x[p x_step + i] for i < n, zero for n <= i < width, p < pixels. width <= y_step.
  void (*gather)(Index pixels, Index n, const T* x, Index x_step, Index width, T* y, Index y_step);

  /// Patches of `rows` kernel rows of n values: y[(p rows + a) n + i] = source.x[p step + a row + i], i < n.
  /// Reads and writes up to a vector beyond the last value.
  void (*unfold)(const PatchRow<T>& source, Index pixels, Index rows, Index n, T* y);

  /// c[i ldc + j] (+)= sum over pixels of dy(pixel, i) x(pixel, j), i < m, j < n. Reads no x beyond column n
  /// when n is a multiple of lanes or at least tile_width.
  void (*pixel_product)(const PixelProduct<T>& pixels, Index m, Index n, T* c, Index ldc, bool add);
};
template <class T>
const Conv2dTable<T>& conv2d_table();

/// One image of a map (h, w, c), or some of its channels: x points at the first of them.
template <class T>
struct MapView {
  const T* x;
  Index h, w, c;
};

/// Copies rows y0 .. y0 + rows - 1, columns x0 .. x0 + columns - 1 and `channels` channels of a map to (rows,
/// columns, width), with zeros where they lie outside the map and for channels beyond the last.
template <class T>
void copy_window(const Conv2dTable<T>& table, const MapView<T>& map, Index y0, Index rows, Index x0,
                 Index columns, Index channels, T* to, Index width) {
  const Index left = std::clamp<Index>(-x0, 0, columns), right = std::clamp(map.w - x0, left, columns);
  for (Index y = y0; y < y0 + rows; ++y, to += columns * width) {
    if (y < 0 || y >= map.h) {
      std::fill_n(to, columns * width, T(0));
      continue;
    }
    std::fill_n(to, left * width, T(0));
    if (left < right) {
      const T* from = map.x + (y * map.w + x0 + left) * map.c;
      if (channels == map.c && width == map.c)
        std::copy_n(from, (right - left) * width, to + left * width);
      else
        table.gather(right - left, channels, from, map.c, width, to + left * width, width);
    }
    std::fill_n(to + right * width, (columns - right) * width, T(0));
  }
}

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/conv2d_tile.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::Conv2dTable<T>& gram::cpu::conv2d_table() {
  return GRAM_SELECT(conv2d_kernels<T>);
}
#endif
