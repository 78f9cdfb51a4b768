// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Pixels side by side in registers: as many sums as hide the latency of the multiply-add.
inline constexpr int depthwise_pixels = 8;
/// Taps of the weight gradient side by side; also a whole 3x3 kernel.
inline constexpr int depthwise_taps = 9;

/// Finishes and stores sums of neighbouring pixels, sum (pixels, lanes). Not inlined: its code would be
/// repeated for every size of kernel.
template <class T>
GRAM_KERNEL __attribute__((noinline)) void depthwise_finish(const T* sum, Index pixels, T* y, Index y_step,
                                                            Index n, const TileEpilogue<T>& e) {
  const bool whole = n >= lanes<T>;
  for (Index q = 0; q < pixels; ++q, sum += lanes<T>, y += y_step) {
    vec<T> v = load(sum);
    if (e.residual) v += whole ? load(e.residual + (y - e.base)) : load(e.residual + (y - e.base), n);
    if (e.add) v += whole ? load(y) : load(y, n);
    if (e.relu) v = max(vec<T>{}, v);
    whole ? store(y, v) : store(y, v, n);
  }
}
/// The same from registers; the bias is in the sums.
template <class T>
GRAM_INLINE void depthwise_store(const vec<T> (&sum)[depthwise_pixels], Index pixels, T* y, Index y_step,
                                 Index n, const TileEpilogue<T>& e) {
  const bool plain = pixels >= depthwise_pixels && n >= lanes<T> && !e.residual && !e.add && !e.relu;
  T copy[depthwise_pixels * lanes<T>];
  T* const to = plain ? y : copy;
  const Index step = plain ? y_step : lanes<T>;
#pragma GCC unroll 8
  for (int q = 0; q < depthwise_pixels; ++q) store(to + q * step, sum[q]);
  if (!plain) depthwise_finish(copy, pixels < depthwise_pixels ? pixels : depthwise_pixels, y, y_step, n, e);
}

/// Any taps at any distance.
template <class T>
GRAM_INLINE void depthwise_taps_at(const DepthwiseRows<T>& s, const T* x, const T* weight,
                                   vec<T> (&sum)[depthwise_pixels]) {
  for (Index t = 0; t < s.taps; ++t) {
    const T* p = x + s.offsets[t];
    const vec<T> w = load(weight + t * lanes<T>);
#pragma GCC unroll 8
    for (int q = 0; q < depthwise_pixels; ++q) sum[q] = fma(load(p + q * s.x_step), w, sum[q]);
  }
}

/// Kernel rows of K neighbouring taps over neighbouring pixels: each value of x is loaded once for all K.
template <int K, class T>
GRAM_INLINE void depthwise_taps_of_rows(const DepthwiseRows<T>& s, const T* x, const T* weight,
                                        vec<T> (&sum)[depthwise_pixels]) {
  for (Index t = 0; t < s.taps; t += K, weight += K * lanes<T>) {
    const T* p = x + s.offsets[t];
    vec<T> w[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) w[k] = load(weight + k * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < depthwise_pixels + K - 1; ++i) {
      const vec<T> value = load(p + i * lanes<T>);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k)
        if (i >= k && i - k < depthwise_pixels) sum[i - k] = fma(value, w[k], sum[i - k]);
    }
  }
}

/// K = 0: any kernel; else kernels that are K wide, without stride or dilation along a row.
template <int K, class T>
GRAM_KERNEL void depthwise_rows(const DepthwiseRows<T>& s, const T* weight, T* y, Index y_row, Index y_step,
                                Index n, const TileEpilogue<T>& e) {
  constexpr int P = depthwise_pixels;
  const vec<T> start = load(e.bias);
  for (Index r = 0; r < s.rows; ++r)
    for (Index first = 0; first < s.width; first += P) {
      const T* x = s.x + r * s.x_row + first * s.x_step;
      T* const to = y + r * y_row + first * y_step;
      const T* const ahead = s.ahead + r * s.ahead_row + first * s.ahead_step;
      vec<T> sum[P];
#pragma GCC unroll 8
      for (int q = 0; q < P; ++q) {
        __builtin_prefetch(to + q * y_step, 1);
        __builtin_prefetch(ahead + q * s.ahead_step, 0, 2);
        sum[q] = start;
      }
      if constexpr (K == 0)
        depthwise_taps_at(s, x, weight, sum);
      else
        depthwise_taps_of_rows<K>(s, x, weight, sum);
      depthwise_store(sum, s.width - first, to, y_step, n, e);
    }
}

template <class T>
GRAM_KERNEL void depthwise_correlate_rows(const DepthwiseRows<T>& s, const T* weight, T* y, Index y_row,
                                          Index y_step, Index n, const TileEpilogue<T>& e) {
  const Index k = s.x_step == lanes<T> && s.tap_step == lanes<T> ? s.taps_w : 0;
  if (k == 3)
    depthwise_rows<3>(s, weight, y, y_row, y_step, n, e);
  else if (k == 5)
    depthwise_rows<5>(s, weight, y, y_row, y_step, n, e);
  else if (k == 7)
    depthwise_rows<7>(s, weight, y, y_row, y_step, n, e);
  else
    depthwise_rows<0>(s, weight, y, y_row, y_step, n, e);
}

template <class T>
GRAM_KERNEL void depthwise_weight_sums(const DepthwiseRows<T>& s, const T* dy, T* total) {
  constexpr int P = depthwise_taps;
  for (Index t = 0; t < s.taps; t += P) {
    Index offset[P];
    vec<T> sum[P] = {};
#pragma GCC unroll 9
    for (int q = 0; q < P; ++q) offset[q] = s.offsets[t + q < s.taps ? t + q : t];
    const T* d = dy;
    for (Index r = 0; r < s.rows; ++r) {
      const T* x = s.x + r * s.x_row;
      const T* ahead = s.ahead + r * s.ahead_row;
      for (Index i = 0; i < s.width; ++i, x += s.x_step, d += lanes<T>, ahead += s.ahead_step) {
        if (t == 0) __builtin_prefetch(ahead, 0, 2);
        const vec<T> gradient = load(d);
#pragma GCC unroll 9
        for (int q = 0; q < P; ++q) sum[q] = fma(load(x + offset[q]), gradient, sum[q]);
      }
    }
#pragma GCC unroll 9
    for (int q = 0; q < P; ++q) {
      if (t + q >= s.taps) break;
      T* to = total + (t + q) * lanes<T>;
      store(to, load(to) + sum[q]);
    }
  }
}

template <class T>
inline constexpr DepthwiseTable<T> depthwise_kernels{lanes<T>, depthwise_pixels, depthwise_correlate_rows<T>,
                                                     depthwise_weight_sums<T>};

}  // namespace gram::cpu::GRAM_ISA
