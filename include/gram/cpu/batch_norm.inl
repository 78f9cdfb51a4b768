// SPDX-License-Identifier: MIT
// Column sums run over strips of four vectors, so that eight chains are in flight; passes that write go row
// by row.
namespace gram::cpu::GRAM_ISA {

/// One vector, or the first n elements of it.
template <bool Whole, class T>
GRAM_INLINE vec<T> bn_load(const T* p, Index n) {
  if constexpr (Whole)
    return load(p);
  else
    return load(p, n);
}
template <bool Whole, class T>
GRAM_INLINE void bn_put(T* p, vec<T> v, Index n, bool add) {
  if (add) v += bn_load<Whole>(p, n);
  if constexpr (Whole)
    store(p, v);
  else
    store(p, v, n);
}

/// The shift is the mean of the first rows: then n values lose at most a factor 1 + n / 8 of precision,
/// whatever they are.
template <int V, bool Whole, class T>
GRAM_INLINE void bn_moments_strip(Index rows, Index columns, Index n, const T* x, accum_t<T>* out) {
  constexpr Index L = lanes<T>;
  const Index first = rows < 8 ? rows : 8;
  vec<T> shift[V] = {}, sum[V] = {}, squares[V] = {};
  for (Index r = 0; r < first; ++r)
    for (int v = 0; v < V; ++v) shift[v] += bn_load<Whole>(x + r * columns + v * L, n);
  for (int v = 0; v < V; ++v) shift[v] /= splat<T>(static_cast<accum_t<T>>(first));
  for (Index r = 0; r < rows; ++r, x += columns) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vec<T> d = bn_load<Whole>(x + v * L, n) - shift[v];
      sum[v] += d;
      squares[v] = fma(d, d, squares[v]);
    }
  }
  for (int v = 0; v < V; ++v) {
    bn_put<Whole>(out + v * L, shift[v], n, false);
    bn_put<Whole>(out + columns + v * L, sum[v], n, false);
    bn_put<Whole>(out + 2 * columns + v * L, squares[v], n, false);
  }
}
/// out (3, columns): a shift k, sum (x - k), sum (x - k)^2 of each column of x (rows, columns).
template <class T>
GRAM_KERNEL void batch_norm_moments(Index rows, Index columns, const T* x, accum_t<T>* out) {
  constexpr Index L = lanes<T>;
  Index c = 0;
  for (; c + 4 * L <= columns; c += 4 * L) bn_moments_strip<4, true>(rows, columns, L, x + c, out + c);
  for (; c + L <= columns; c += L) bn_moments_strip<1, true>(rows, columns, L, x + c, out + c);
  if (c < columns) bn_moments_strip<1, false>(rows, columns, columns - c, x + c, out + c);
}

template <bool Whole, class T>
GRAM_INLINE vec<T> bn_applied(Index n, const T* x, const T* residual, const accum_t<T>* mean,
                              const accum_t<T>* scale, const accum_t<T>* bias,
                              BatchNormRange<accum_t<T>> range) {
  using A = accum_t<T>;
  const vec<T> low = splat<T>(range.low), high = splat<T>(range.high);
  const vec<T> centered = bn_load<Whole>(x, n) - bn_load<Whole, A>(mean, n);
  vec<T> v = fma(centered, bn_load<Whole, A>(scale, n), bn_load<Whole, A>(bias, n));
  if (residual) v += bn_load<Whole>(residual, n);
  v = v < low ? low : v;
  return v > high ? high : v;
}
/// y = (x - mean) scale + bias [+ residual], inside the range
template <class T>
GRAM_KERNEL void batch_norm_apply(Index rows, Index columns, const T* x, const T* residual,
                                  const accum_t<T>* mean, const accum_t<T>* scale, const accum_t<T>* bias,
                                  BatchNormRange<accum_t<T>> range, bool past_caches, T* y) {
  constexpr Index L = lanes<T>;
  // Rows of whole vectors, so that all of them are aligned when the first one is.
  const bool streams =
      past_caches && columns % L == 0 && reinterpret_cast<std::uintptr_t>(y) % GRAM_BYTES == 0;
  for (Index r = 0; r < rows; ++r, x += columns, y += columns) {
    Index c = 0;
    for (; c + L <= columns; c += L) {
      const vec<T> v =
          bn_applied<true>(L, x + c, residual ? residual + c : nullptr, mean + c, scale + c, bias + c, range);
      if (streams)
        stream(y + c, v);
      else
        store(y + c, v);
    }
    if (c < columns)
      store(y + c,
            bn_applied<false>(columns - c, x + c, residual ? residual + c : nullptr, mean + c, scale + c,
                              bias + c, range),
            columns - c);
    if (residual) residual += columns;
  }
  if (streams) stream_fence();
}

/// The gradient behind the ReLU. centered: x - mean.
template <BatchNormMask Mask, bool Whole, class T>
GRAM_INLINE vec<T> bn_masked(const BatchNormFlow<T>& in, Index at, vec<T> centered, vec<T> scale, vec<T> bias,
                             Index n) {
  const vec<T> g = bn_load<Whole>(in.dy + at, n);
  if constexpr (Mask == BatchNormMask::none) return g;
  const vec<T> y = Mask == BatchNormMask::y ? bn_load<Whole>(in.y + at, n) : fma(centered, scale, bias);
  return ((y > vec<T>{}) & (y < splat<T>(in.ceiling))) ? g : vec<T>{};
}

template <BatchNormMask Mask, int V, bool Whole, class T>
GRAM_INLINE void bn_grad_sums_strip(Index rows, Index columns, Index c, Index n, const BatchNormFlow<T>& in,
                                    const BatchNormCoefficients<accum_t<T>>& k, T* g_out, accum_t<T>* out) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  vec<T> mean[V], scale[V], bias[V], sum[V] = {}, products[V] = {};
  for (int v = 0; v < V; ++v) {
    mean[v] = bn_load<Whole, A>(k.mean + c + v * L, n);
    scale[v] = bn_load<Whole, A>(k.scale + c + v * L, n);
    bias[v] = bn_load<Whole, A>(k.bias + c + v * L, n);
  }
  for (Index r = 0; r < rows; ++r) {
    const Index row = r * columns + c;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Index at = row + v * L;
      const vec<T> centered = bn_load<Whole>(in.x + at, n) - mean[v];
      const vec<T> g = bn_masked<Mask, Whole>(in, at, centered, scale[v], bias[v], n);
      sum[v] += g;
      products[v] = fma(g, centered, products[v]);
      if (g_out) bn_put<Whole>(g_out + at, g, n, false);
    }
  }
  for (int v = 0; v < V; ++v) {
    bn_put<Whole>(out + c + v * L, sum[v], n, false);
    bn_put<Whole>(out + columns + c + v * L, products[v], n, false);
  }
}
template <BatchNormMask Mask, class T>
GRAM_INLINE void bn_grad_sums(Index rows, Index columns, const BatchNormFlow<T>& in,
                              const BatchNormCoefficients<accum_t<T>>& k, T* g, accum_t<T>* out) {
  constexpr Index L = lanes<T>;
  Index c = 0;
  for (; c + 4 * L <= columns; c += 4 * L)
    bn_grad_sums_strip<Mask, 4, true>(rows, columns, c, L, in, k, g, out);
  for (; c + L <= columns; c += L) bn_grad_sums_strip<Mask, 1, true>(rows, columns, c, L, in, k, g, out);
  if (c < columns) bn_grad_sums_strip<Mask, 1, false>(rows, columns, c, columns - c, in, k, g, out);
}
/// out (2, columns): sum g and sum g (x - mean) of each column; where g_out is not null, also g itself.
template <class T>
GRAM_KERNEL void batch_norm_grad_sums(Index rows, Index columns, const BatchNormFlow<T>& in,
                                      const BatchNormCoefficients<accum_t<T>>& k, T* g_out, accum_t<T>* out) {
  if (in.mask == BatchNormMask::x)
    bn_grad_sums<BatchNormMask::x>(rows, columns, in, k, g_out, out);
  else if (in.mask == BatchNormMask::y)
    bn_grad_sums<BatchNormMask::y>(rows, columns, in, k, g_out, out);
  else
    bn_grad_sums<BatchNormMask::none>(rows, columns, in, k, g_out, out);
}

template <BatchNormMask Mask, bool Whole, class T>
GRAM_INLINE void bn_grad_columns(Index at, Index c, Index n, const BatchNormFlow<T>& in,
                                 const BatchNormCoefficients<accum_t<T>>& k, GradientSink<T> dx,
                                 GradientSink<T> dr) {
  using A = accum_t<T>;
  const vec<T> centered = bn_load<Whole>(in.x + at, n) - bn_load<Whole, A>(k.mean + c, n);
  const vec<T> scale = bn_load<Whole, A>(k.scale + c, n);
  const vec<T> g = bn_masked<Mask, Whole>(in, at, centered, scale, bn_load<Whole, A>(k.bias + c, n), n);
  if (dx) {
    const vec<T> rest =
        fma(centered, bn_load<Whole, A>(k.slope + c, n), bn_load<Whole, A>(k.constant + c, n));
    bn_put<Whole>(dx.data + at, fma(g, scale, rest), n, dx.add);
  }
  if (dr) bn_put<Whole>(dr.data + at, g, n, dr.add);  // after dx: the residual may be x itself
}
template <BatchNormMask Mask, class T>
GRAM_INLINE void bn_grad(Index rows, Index columns, const BatchNormFlow<T>& in,
                         const BatchNormCoefficients<accum_t<T>>& k, GradientSink<T> dx, GradientSink<T> dr) {
  constexpr Index L = lanes<T>;
  for (Index r = 0; r < rows; ++r) {
    const Index row = r * columns;
    Index c = 0;
    for (; c + L <= columns; c += L) bn_grad_columns<Mask, true>(row + c, c, L, in, k, dx, dr);
    if (c < columns) bn_grad_columns<Mask, false>(row + c, c, columns - c, in, k, dx, dr);
  }
}
/// dx = scale g + slope (x - mean) + constant, dr = g; either may be null.
template <class T>
GRAM_KERNEL void batch_norm_grad(Index rows, Index columns, const BatchNormFlow<T>& in,
                                 const BatchNormCoefficients<accum_t<T>>& k, GradientSink<T> dx,
                                 GradientSink<T> dr) {
  if (in.mask == BatchNormMask::x)
    bn_grad<BatchNormMask::x>(rows, columns, in, k, dx, dr);
  else if (in.mask == BatchNormMask::y)
    bn_grad<BatchNormMask::y>(rows, columns, in, k, dx, dr);
  else
    bn_grad<BatchNormMask::none>(rows, columns, in, k, dx, dr);
}

template <class T>
inline constexpr BatchNormTable<T> batch_norm_kernels{batch_norm_moments<T>, batch_norm_apply<T>,
                                                      batch_norm_grad_sums<T>, batch_norm_grad<T>};

}  // namespace gram::cpu::GRAM_ISA
