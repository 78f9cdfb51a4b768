// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// V vectors of one output position (the last with n elements): the sum over taps (i, j) of row[i] column[j]
/// x[i, j].
template <int V, bool Whole, class T>
GRAM_INLINE void resample_strip(const T* x, Index row_stride, Index step, const AxisTap<accum_t<T>>& row,
                                const AxisTap<accum_t<T>>& column, Index n, T* y, bool add) {
  constexpr Index L = lanes<T>;
  vec<T> total[V] = {};
  for (Index i = 0; i < row.count; ++i, x += row_stride) {
    vec<T> line[V] = {};
    for (Index j = 0; j < column.count; ++j) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const T* p = x + j * step + v * L;
        if constexpr (Whole)
          line[v] = fma(load(p), splat<T>(column.weight[j]), line[v]);
        else
          line[v] = fma(load(p, n), splat<T>(column.weight[j]), line[v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) total[v] = fma(line[v], splat<T>(row.weight[i]), total[v]);
  }
  for (int v = 0; v < V; ++v) {
    T* p = y + v * L;
    if constexpr (Whole)
      store(p, add ? load(p) + total[v] : total[v]);
    else
      store(p, add ? load(p, n) + total[v] : total[v], n);
  }
}

/// One output row (W', C) of an image x (H, W, C), pixels x_step and y_step elements apart.
template <class T>
GRAM_KERNEL void resample_row(const T* x, Index x_step, Index C, const AxisTaps<accum_t<T>>& rows,
                              Index out_row, const AxisTaps<accum_t<T>>& columns, T* y, Index y_step,
                              bool add) {
  constexpr Index L = lanes<T>;
  const AxisTap<accum_t<T>> row = rows.tap(out_row);
  const Index stride = columns.in * x_step;
  x += row.begin * stride;
  for (Index o = 0; o < columns.out; ++o, y += y_step) {
    const AxisTap<accum_t<T>> column = columns.tap(o);
    const T* const p = x + column.begin * x_step;
    Index c = 0;
    for (; c + 4 * L <= C; c += 4 * L)
      resample_strip<4, true>(p + c, stride, x_step, row, column, L, y + c, add);
    for (; c + L <= C; c += L) resample_strip<1, true>(p + c, stride, x_step, row, column, L, y + c, add);
    if (c < C) resample_strip<1, false>(p + c, stride, x_step, row, column, C - c, y + c, add);
  }
}

template <class T>
inline constexpr ResizeTable<T> resize_kernels{resample_row<T>};

}  // namespace gram::cpu::GRAM_ISA
