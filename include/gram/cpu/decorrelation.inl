// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// p = softmax of the mean logit of all heads, and its logarithm; both have room for n values.
template <class T>
GRAM_KERNEL void consensus_row(Index heads, const T* const* z, Index offset, Index n, accum_t<T>* log_p,
                               accum_t<T>* p) {
  constexpr Index w = lanes<T>;
  const accum_t<T> share = 1 / static_cast<accum_t<T>>(heads);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    vec<T> total{};
    for (Index k = 0; k < heads; ++k) total += load_first(z[k] + offset + i, count);
    put(log_p + i, total * share, count, false);
  }
  const auto mean = normaliser(n, log_p);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> logarithm = load_first(log_p + i, count) - mean.top - mean.log_sum;
    put(log_p + i, logarithm, count, false);
    put(p + i, exp(logarithm), count, false);
  }
}

/// sum of p (log p - log softmax(z)), without the classes where p is zero
template <class T>
GRAM_KERNEL double divergence_row(Index n, const T* z, const accum_t<T>* log_p, const accum_t<T>* p) {
  constexpr Index w = lanes<T>;
  const auto head = normaliser(n, z);
  vec<T> total{};
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> weight = load_first(p + i, count);
    const vec<T> log_s = load_first(z + i, count) - head.top - head.log_sum;
    total += weight == vec<T>{} ? vec<T>{} : weight * (load_first(log_p + i, count) - log_s);
  }
  return static_cast<double>(sum(total));
}

template <class T>
GRAM_KERNEL void divergence_row_grad(Index n, const T* z, const accum_t<T>* p, accum_t<T> scale, T* dz,
                                     bool add) {
  constexpr Index w = lanes<T>;
  const auto head = normaliser(n, z);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> s = exp(load_first(z + i, count) - head.top - head.log_sum);
    put(dz + i, scale * (s - load_first(p + i, count)), count, add);
  }
}

template <class T>
inline constexpr DecorrelationTable<T> decorrelation_kernels{consensus_row<T>, divergence_row<T>,
                                                             divergence_row_grad<T>};

}  // namespace gram::cpu::GRAM_ISA
