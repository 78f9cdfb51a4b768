// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

template <class T>
GRAM_KERNEL accum_t<T> sum_row(Index n, const T* x) {
  constexpr Index w = lanes<T>;
  vec<T> a{}, b{}, c{}, d{};
  Index i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a += load(x + i);
    b += load(x + i + w);
    c += load(x + i + 2 * w);
    d += load(x + i + 3 * w);
  }
  for (; i + w <= n; i += w) a += load(x + i);
  if (i < n) b += load(x + i, n - i);
  return sum((a + b) + (c + d));
}

/// Strips of four vectors stay in registers while the rows go by.
template <class T>
GRAM_KERNEL void sum_columns(Index rows, Index width, Index stride, const T* x, accum_t<T>* y) {
  constexpr Index w = lanes<T>;
  Index c = 0;
  for (; c + 4 * w <= width; c += 4 * w) {
    vec<T> s[4] = {};
    for (Index r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (Index k = 0; k < 4; ++k) s[k] += load(x + r * stride + c + k * w);
    for (Index k = 0; k < 4; ++k) store(y + c + k * w, s[k]);
  }
  for (; c < width; c += w) {
    const Index count = width - c < w ? width - c : w;
    vec<T> s{};
    for (Index r = 0; r < rows; ++r) s += load_first(x + r * stride + c, count);
    put(y + c, s, count, false);
  }
}

/// All bits set where `value` takes the place of `top`: it is larger, or it is the first NaN.
template <class V>
GRAM_INLINE auto beats(V value, V top) {
  return ~(value <= top) & (top == top);
}

template <class T>
GRAM_KERNEL void max_row(Index n, const T* x, accum_t<T>* best, Index* at) {
  constexpr Index w = lanes<T>;
  constexpr auto lowest = -static_cast<accum_t<T>>(__builtin_inff());
  vec<T> top = load_padded(x, n < w ? n : w, lowest);
  using Mask = decltype(top < top);
  Mask block{}, where{};  // each lane remembers the block its largest value is in
  for (Index i = w; i < n; i += w) {
    const vec<T> value = load_padded(x + i, n - i < w ? n - i : w, lowest);
    const Mask better = beats(value, top);
    block += 1;
    top = better ? value : top;
    where = better ? block : where;
  }
  *best = top[0];
  *at = static_cast<Index>(where[0]) * w;
  for (Index lane = 1; lane < w; ++lane) {
    const accum_t<T> value = top[lane];
    const Index position = static_cast<Index>(where[lane]) * w + lane;
    const bool larger = !(value <= *best) && *best == *best;
    const bool same = value == *best || (value != value && *best != *best);
    if (larger || (same && position < *at)) *best = value, *at = position;
  }
}

template <class T>
GRAM_KERNEL void max_columns(Index rows, Index width, Index stride, const T* x, accum_t<T>* best, Index* at) {
  constexpr Index w = lanes<T>;
  for (Index c = 0; c < width; c += w) {
    const Index count = width - c < w ? width - c : w;
    vec<T> top = load_first(x + c, count);
    using Mask = decltype(top < top);
    Mask row{}, where{};
    for (Index r = 1; r < rows; ++r) {
      const vec<T> value = load_first(x + r * stride + c, count);
      const Mask better = beats(value, top);
      row += 1;
      top = better ? value : top;
      where = better ? row : where;
    }
    put(best + c, top, count, false);
    for (Index i = 0; i < count; ++i) at[c + i] = static_cast<Index>(where[i]);
  }
}

template <class T>
GRAM_KERNEL void spread_row(Index n, accum_t<T> value, T* y, bool add) {
  constexpr Index w = lanes<T>;
  const vec<T> v = splat<T>(value);
  for (Index i = 0; i < n; i += w) put(y + i, v, n - i < w ? n - i : w, add);
}

template <class T>
GRAM_KERNEL void spread_columns(Index rows, Index width, Index stride, accum_t<T> scale, const T* x, T* y,
                                bool add) {
  constexpr Index w = lanes<T>;
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < width; c += w) {
      const Index count = width - c < w ? width - c : w;
      put(y + r * stride + c, scale * load_first(x + c, count), count, add);
    }
}

template <class T>
inline constexpr ReduceTable<T> reduce_kernels{sum_row<T>,     sum_columns<T>, max_row<T>,
                                               max_columns<T>, spread_row<T>,  spread_columns<T>};

}  // namespace gram::cpu::GRAM_ISA
