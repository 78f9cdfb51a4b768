// SPDX-License-Identifier: MIT
// The normaliser of one row, for softmax and for the losses built on it.
namespace gram::cpu::GRAM_ISA {

/// log sum exp(x) = top + log_sum. Kept apart: x - top is exact near the top, however large x is.
template <class A>
struct Normaliser {
  A top, log_sum, sum;
};

template <class T>
GRAM_INLINE accum_t<T> row_max(Index n, const T* x) {
  constexpr auto lowest = -static_cast<accum_t<T>>(__builtin_inff());
  vec<T> top = splat<T>(lowest);
  for (Index i = 0; i < n; i += lanes<T>)
    top = max(load_padded(x + i, n - i < lanes<T> ? n - i : lanes<T>, lowest), top);
  return max_lane(top);
}

template <class T>
GRAM_INLINE Normaliser<accum_t<T>> normaliser(Index n, const T* x) {
  constexpr Index w = lanes<T>;
  constexpr auto lowest = -static_cast<accum_t<T>>(__builtin_inff());
  const accum_t<T> top = row_max(n, x);
  vec<T> total{};
  for (Index i = 0; i < n; i += w) total += exp(load_padded(x + i, n - i < w ? n - i : w, lowest) - top);
  const accum_t<T> s = sum(total);
  return {top, std::log(s), s};
}

}  // namespace gram::cpu::GRAM_ISA
