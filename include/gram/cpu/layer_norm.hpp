// SPDX-License-Identifier: MIT
// Layer normalisation of the rows of x (rows, C), and its gradient.
#pragma once
#include <algorithm>
#include <cmath>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"

namespace gram::cpu {

template <class T>
struct LayerNormTable {
  using A = accum_t<T>;
  void (*forward)(Index rows, Index C, const T* x, const A* weight, const A* bias, double epsilon, T* y,
                  A* mean, A* rstd);
  void (*grad)(Index rows, Index C, const T* x, const T* dy, const A* weight, const A* mean, const A* rstd,
               GradientSink<T> dx, A* dweight, A* dbias);
};
template <class T>
const LayerNormTable<T>& layer_norm_table();

/// Rows of a piece of work: 16 K elements.
inline Index layer_norm_grain(Index C) {
  return std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, C));
}

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/layer_norm.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::LayerNormTable<T>& gram::cpu::layer_norm_table() {
  return GRAM_SELECT(layer_norm_kernels<T>);
}
#endif

namespace gram::kernels {

/// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(variance + epsilon) of each row; a null weight is 1, a
/// null bias 0.
template <class T>
void layer_norm(Cpu, const T* x, Index rows, Index C, const accum_t<T>* weight, const accum_t<T>* bias,
                double epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd) {
  using A = accum_t<T>;
  Scratch<A> affine(2 * C);
  for (Index c = 0; c < C; ++c) affine[c] = weight ? weight[c] : A(1), affine[C + c] = bias ? bias[c] : A(0);
  const auto& table = cpu::layer_norm_table<T>();
  parallel_for(rows, cpu::layer_norm_grain(C), [&](Index begin, Index end) {
    table.forward(end - begin, C, x + begin * C, affine.data(), affine.data() + C, epsilon, y + begin * C,
                  mean + begin, rstd + begin);
  });
}

/// dweight and dbias are summed piece by piece of rows, the pieces in order and in double.
template <class T>
void layer_norm_grad(Cpu, const T* x, const T* dy, Index rows, Index C, const accum_t<T>* weight,
                     const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
                     GradientSink<accum_t<T>> dweight, GradientSink<accum_t<T>> dbias) {
  using A = accum_t<T>;
  const Index piece = cpu::layer_norm_grain(C), pieces = ceil_div(rows, piece);
  Scratch<A> scale(C), partial(pieces * 2 * C);
  for (Index c = 0; c < C; ++c) scale[c] = weight ? weight[c] : A(1);
  const auto& table = cpu::layer_norm_table<T>();
  parallel_blocks(pieces, [&](Index i, int) {
    const Index begin = i * piece, n = std::min(piece, rows - begin), at = begin * C;
    A* const sums = &partial[i * 2 * C];
    std::fill_n(sums, 2 * C, A(0));
    table.grad(n, C, x + at, dy + at, scale.data(), mean + begin, rstd + begin,
               {dx ? dx.data + at : nullptr, dx.add}, sums, sums + C);
  });
  const auto finish = [&](GradientSink<A> to, Index offset) {
    if (!to) return;
    for (Index c = 0; c < C; ++c) {
      double total = to.add ? to.data[c] : A(0);
      for (Index i = 0; i < pieces; ++i) total += static_cast<double>(partial[i * 2 * C + offset + c]);
      to.data[c] = static_cast<A>(total);
    }
  };
  finish(dweight, 0);
  finish(dbias, C);
}

}  // namespace gram::kernels
