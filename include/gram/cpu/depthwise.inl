// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Pixels side by side in registers: as many sums as hide the latency of the multiply-add.
inline constexpr int depthwise_pixels = 8;
/// Taps of the weight gradient side by side; also a whole 3x3 kernel.
inline constexpr int depthwise_taps = 9;

template <class T>
GRAM_KERNEL void depthwise_correlate_rows(const DepthwiseRows<T>& s, const T* weight, const T* bias, T* y,
                                          Index y_row, Index y_step, Index n, bool add) {
  constexpr int P = depthwise_pixels;
  const vec<T> start = load(bias);
  for (Index r = 0; r < s.rows; ++r)
    for (Index first = 0; first < s.width; first += P) {
      const T* x = s.x + r * s.x_row + first * s.x_step;
      vec<T> sum[P];
#pragma GCC unroll 8
      for (int q = 0; q < P; ++q) sum[q] = start;
      for (Index t = 0; t < s.taps; ++t) {
        const T* p = x + s.offsets[t];
        const vec<T> w = load(weight + t * lanes<T>);
#pragma GCC unroll 8
        for (int q = 0; q < P; ++q) sum[q] = fma(load(p + q * s.x_step), w, sum[q]);
      }
      T* to = y + r * y_row + first * y_step;
#pragma GCC unroll 8
      for (int q = 0; q < P; ++q, to += y_step) {
        if (first + q >= s.width) break;
        if (n == lanes<T>)
          store(to, add ? load(to) + sum[q] : sum[q]);
        else
          store(to, add ? load(to, n) + sum[q] : sum[q], n);
      }
    }
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
      for (Index i = 0; i < s.width; ++i, x += s.x_step, d += lanes<T>) {
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
