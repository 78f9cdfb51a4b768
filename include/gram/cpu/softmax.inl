// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// float and double keep exp(x - top) in y between the passes; bf16 is too coarse for that and computes it
/// twice.
template <class T, bool Logarithm>
GRAM_KERNEL void softmax_row(Index n, const T* x, T* y) {
  constexpr Index w = lanes<T>;
  constexpr auto lowest = -static_cast<accum_t<T>>(__builtin_inff());
  if constexpr (Logarithm) {
    const auto z = normaliser(n, x);
    for (Index i = 0; i < n; i += w) {
      const Index count = n - i < w ? n - i : w;
      put(y + i, load_first(x + i, count) - z.top - z.log_sum, count, false);
    }
  } else if constexpr (std::is_same_v<T, accum_t<T>>) {
    const T top = row_max(n, x);
    vec<T> total{};
    for (Index i = 0; i < n; i += w) {
      const Index count = n - i < w ? n - i : w;
      const vec<T> e = exp(load_padded(x + i, count, lowest) - top);
      total += e;
      put(y + i, e, count, false);
    }
    const T scale = 1 / sum(total);
    for (Index i = 0; i < n; i += w) {
      const Index count = n - i < w ? n - i : w;
      put(y + i, load_first(y + i, count) * scale, count, false);
    }
  } else {
    const auto z = normaliser(n, x);
    for (Index i = 0; i < n; i += w) {
      const Index count = n - i < w ? n - i : w;
      put(y + i, exp(load_first(x + i, count) - z.top) / z.sum, count, false);
    }
  }
}

/// Each lane is one column.
template <class T, bool Logarithm>
GRAM_KERNEL void softmax_columns(Index n, Index width, Index stride, const T* x, T* y) {
  for (Index c = 0; c < width; c += lanes<T>) {
    const Index count = width - c < lanes<T> ? width - c : lanes<T>;
    vec<T> top = splat<T>(-static_cast<accum_t<T>>(__builtin_inff())), total{};
    for (Index r = 0; r < n; ++r) top = max(load_first(x + r * stride + c, count), top);
    for (Index r = 0; r < n; ++r) total += exp(load_first(x + r * stride + c, count) - top);
    const vec<T> last = Logarithm ? log(total) : 1 / total;
    for (Index r = 0; r < n; ++r) {
      const vec<T> shifted = load_first(x + r * stride + c, count) - top;
      put(y + r * stride + c, Logarithm ? shifted - last : exp(shifted) * last, count, false);
    }
  }
}

template <class T, bool Logarithm>
GRAM_INLINE vec<T> softmax_slope(vec<T> y, vec<T> dy, vec<T> total) {
  return Logarithm ? dy - exp(y) * total : y * (dy - total);
}

template <class T, bool Logarithm>
GRAM_KERNEL void softmax_row_grad(Index n, const T* y, const T* dy, T* dx, bool add) {
  constexpr Index w = lanes<T>;
  vec<T> partial{};
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> d = load_first(dy + i, count);
    partial += Logarithm ? d : load_first(y + i, count) * d;
  }
  const vec<T> total = splat<T>(sum(partial));
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dx + i, softmax_slope<T, Logarithm>(load_first(y + i, count), load_first(dy + i, count), total),
        count, add);
  }
}

template <class T, bool Logarithm>
GRAM_KERNEL void softmax_columns_grad(Index n, Index width, Index stride, const T* y, const T* dy, T* dx,
                                      bool add) {
  for (Index c = 0; c < width; c += lanes<T>) {
    const Index count = width - c < lanes<T> ? width - c : lanes<T>;
    vec<T> total{};
    for (Index r = 0; r < n; ++r) {
      const vec<T> d = load_first(dy + r * stride + c, count);
      total += Logarithm ? d : load_first(y + r * stride + c, count) * d;
    }
    for (Index r = 0; r < n; ++r) {
      const Index at = r * stride + c;
      put(dx + at, softmax_slope<T, Logarithm>(load_first(y + at, count), load_first(dy + at, count), total),
          count, add);
    }
  }
}

template <class T>
inline constexpr SoftmaxTable<T> softmax_kernels{
    {softmax_row<T, false>, softmax_row<T, true>},
    {softmax_columns<T, false>, softmax_columns<T, true>},
    {softmax_row_grad<T, false>, softmax_row_grad<T, true>},
    {softmax_columns_grad<T, false>, softmax_columns_grad<T, true>}};

}  // namespace gram::cpu::GRAM_ISA
