// SPDX-License-Identifier: MIT
// The transforms of Winograd's convolutions between maps and the matrices that are multiplied.
#pragma once
#include <numbers>

#include "gram/cpu/panel.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram::cpu {

/// How tiles of m x m output pixels cover maps (N, h, w, c), row by row, map after map. For the input these
/// are squares of side m + 2 that start m pixels apart.
struct WinogradGrid {
  Index h, w, c;
  Index rows, columns;  ///< tiles of one map
  Index top, left;      ///< the pixel that the first tile starts with; negative in the padding
};

/// A matrix for each of the (m + 2)^2 products: element (i, j) of matrix p at data[p * plane + i * row + j].
template <class T>
struct WinogradPlanes {
  T* data;
  Index plane, row;

  WinogradPlanes from_row(Index i) const { return {data + i * row, plane, row}; }
  operator WinogradPlanes<const T>() const { return {data, plane, row}; }
};

/// 3x3 kernels: tap (y, x) of kernel i at data[i * kernel + (3 y + x) * tap], one channel after the other.
template <class T>
struct WinogradTaps {
  T* data;
  Index kernel, tap;
};

/// The transforms of one tile size. Tile i, or kernel i, becomes row i of every matrix, or comes from there.
/// Rows are whole vectors: those that are written end with zeros.
template <class T>
struct WinogradTransforms {
  /// B^T x B for tiles first .. first + count - 1.
  void (*input)(const WinogradGrid&, Index first, Index count, const T* x, const WinogradPlanes<T>& v);
  /// A^T m A. Writes the pixels of y.
  void (*output)(const WinogradGrid&, Index first, Index count, const WinogradPlanes<const T>& m,
                 const Conv2dEpilogue<T>&, T* y);
  /// A dy A^T, the transpose of `output`.
  void (*gradient)(const WinogradGrid&, Index first, Index count, const T* dy, const WinogradPlanes<T>& z);
  /// G w G^T.
  void (*weight)(Index count, Index channels, const WinogradTaps<const T>& w, const WinogradPlanes<T>& u);
  /// dw (+)= G^T du G, the transpose of `weight`.
  void (*weight_gradient)(Index count, Index channels, const WinogradPlanes<const T>& du,
                          const WinogradTaps<T>& dw, bool add);
};
template <class T>
struct WinogradTable {
  WinogradTransforms<T> two, four;  ///< m = 2 and m = 4
};
template <class T>
const WinogradTable<T>& winograd_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/winograd_tile.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::WinogradTable<T>& gram::cpu::winograd_table() {
  return GRAM_SELECT(winograd_kernels<T>);
}
#endif
