// SPDX-License-Identifier: MIT
// Rows go by in strips of four vectors of columns, whose shifts and sums stay in registers.
namespace gram::cpu::GRAM_ISA {

template <int V, bool Whole, class T>
GRAM_INLINE void center_strip(Index rows, Index columns, Index n, const T* x, const accum_t<T>* shift,
                              accum_t<T>* d, accum_t<T>* sums) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  vec<T> k[V], sum[V];
  for (int v = 0; v < V; ++v) {
    k[v] = Whole ? load(shift + v * L) : load(shift, n);
    sum[v] = Whole ? load(sums + v * L) : load(sums, n);
  }
  for (Index r = 0; r < rows; ++r, x += columns, d += columns) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vec<T> value = (Whole ? load(x + v * L) : load(x, n)) - k[v];
      sum[v] += value;
      if constexpr (Whole)
        store<A>(d + v * L, value);
      else
        store<A>(d, value, n);
    }
  }
  for (int v = 0; v < V; ++v) {
    if constexpr (Whole)
      store<A>(sums + v * L, sum[v]);
    else
      store<A>(sums, sum[v], n);
  }
}
/// d = x - shift, x and d (rows, columns); sums += the sums of its columns.
template <class T>
GRAM_KERNEL void covariance_center(Index rows, Index columns, const T* x, const accum_t<T>* shift,
                                   accum_t<T>* d, accum_t<T>* sums) {
  constexpr Index L = lanes<T>;
  Index c = 0;
  for (; c + 4 * L <= columns; c += 4 * L)
    center_strip<4, true>(rows, columns, L, x + c, shift + c, d + c, sums + c);
  for (; c + L <= columns; c += L) center_strip<1, true>(rows, columns, L, x + c, shift + c, d + c, sums + c);
  if (c < columns) center_strip<1, false>(rows, columns, columns - c, x + c, shift + c, d + c, sums + c);
}

template <class T>
inline constexpr CovarianceTable<T> covariance_kernels{covariance_center<T>};

}  // namespace gram::cpu::GRAM_ISA
