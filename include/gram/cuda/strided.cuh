// SPDX-License-Identifier: MIT
// One kernel for everything that computes or moves element by element over rows with strides: broadcasting
// operations and their gradients, runs, windows, axes in another order.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/kernels/broadcast.hpp"

namespace gram::cuda {

template <class T>
using Line = Pack<T, pack_size<T>>;  // 16 bytes

/// Whether rows that start at x and further multiples of the strides can be read in packs of 16 bytes.
template <class T>
bool packable(const T* x) {
  return reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
}
template <class T>
bool packable(const T* x, const kernels::BroadcastAxes& outer, Index kernels::BroadcastAxis::*stride) {
  bool fits = packable(x);
  for (int i = 0; i < outer.count(); ++i) fits = fits && outer[i].*stride % pack_size<T> == 0;
  return fits;
}

/// The elements from `first` on of a row, or its only element throughout where the row has no step.
template <class T>
GRAM_DEVICE Line<T> load_line(const T* row, Index first, Index step) {
  if (step) return *reinterpret_cast<const Line<T>*>(row + first);
  Line<T> line;
  for (int k = 0; k < pack_size<T>; ++k) line.value[k] = *row;
  return line;
}
template <class T>
GRAM_DEVICE void store_line(T* y, const Line<T>& line) {
  *reinterpret_cast<Line<T>*>(y) = line;
}

/// Power of two, at most `most`, that covers n items or comes near.
inline unsigned covering_power(Index n, unsigned most) {
  unsigned threads = 1;
  while (threads < most && threads < n) threads *= 2;
  return threads;
}

/// Rows of y are contiguous; those of c lie as y does. What f does not use is not read: y is written once,
/// the operands are read once, but for repeated ones, which the caches hold.
template <class T, class F>
__global__ void strided_kernel(F f, kernels::BroadcastAxes outer, kernels::BroadcastAxis inner, const T* a,
                               const T* b, const T* c, T* y, bool add, Index lines) {
  const Index rows = outer.size(), row_step = static_cast<Index>(gridDim.y) * blockDim.y;
  for (Index r = static_cast<Index>(blockIdx.y) * blockDim.y + threadIdx.y; r < rows; r += row_step) {
    const kernels::BroadcastOffset o = outer.at(r);
    for (Index line = first_item(); line < lines; line += item_step()) {
      const Index i = line * pack_size<T>;
      const Line<T> u = load_line(a + o.a, i, inner.a), v = load_line(b + o.b, i, inner.b),
                    w = load_line(c + o.y, i, 1);
      Line<T> result;
      if (add) result = load_line(y + o.y, i, 1);
      for (int k = 0; k < pack_size<T>; ++k) {
        const accum_t<T> value = f(wide(u.value[k]), wide(v.value[k]), wide(w.value[k]));
        result.value[k] = narrow<T>(add ? wide(result.value[k]) + value : value);
      }
      store_line(y + o.y + i, result);
    }
    for (Index i = lines * pack_size<T> + first_item(); i < inner.extent; i += item_step()) {
      T& target = y[o.y + i];
      const accum_t<T> value = f(wide(a[o.a + i * inner.a]), wide(b[o.b + i * inner.b]), wide(c[o.y + i]));
      target = narrow<T>(add ? wide(target) + value : value);
    }
  }
}

/// y [+]= f(a, b, c) over all rows of `outer`, along `inner`; c lies as y does, in steps of one element.
/// Operands that f does not use may be any memory that can be read in the same way.
template <class T, class F>
void strided(Cuda device, F f, const kernels::BroadcastAxes& outer, const kernels::BroadcastAxis& inner,
             const T* a, const T* b, const T* c, T* y, bool add) {
  using kernels::BroadcastAxis;
  const Index rows = outer.size(), n = inner.extent;
  if (rows * n == 0) return;
  const auto fits = [&](const T* x, Index step, Index BroadcastAxis::*stride) {
    return step == 0 || (step == 1 && packable(x, outer, stride));
  };
  const bool packs = (rows == 1 || n % pack_size<T> == 0) && fits(a, inner.a, &BroadcastAxis::a) &&
                     fits(b, inner.b, &BroadcastAxis::b) && fits(c, 1, &BroadcastAxis::y) &&
                     fits(y, 1, &BroadcastAxis::y);
  const Index lines = packs ? n / pack_size<T> : 0, items = lines ? lines : n;
  const unsigned across = covering_power(items, block_threads), down = block_threads / across;
  const unsigned wide_grid = grid_blocks(items, across);
  const Index high = ceil_div(grid_blocks(rows * items), wide_grid), needed = ceil_div(rows, down);
  launch(device, strided_kernel<T, F>, dim3(wide_grid, static_cast<unsigned>(high < needed ? high : needed)),
         dim3(across, down), 0, f, outer, inner, a, b, c, y, add, lines);
}

/// f(a, b, c) = a: copies.
template <class A>
struct First {
  GRAM_DEVICE A operator()(A a, A, A) const { return a; }
};
/// f(a, b, c) = factor a
template <class A>
struct Scaled {
  A factor;
  GRAM_DEVICE A operator()(A a, A, A) const { return factor * a; }
};
template <class T>
void strided_copy(Cuda device, const kernels::BroadcastAxes& outer, const kernels::BroadcastAxis& inner,
                  const T* x, T* y, bool add) {
  strided(device, First<accum_t<T>>{}, outer, inner, x, x, y, y, add);
}

}  // namespace gram::cuda
