// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Writes new values: to the parameter itself, and for bf16 to its float master copy and rounded to the
/// parameter.
template <class T>
GRAM_INLINE void optimizer_put_values(accum_t<T>* master, T* parameter, vec<T> v, Index n) {
  if (n == lanes<T>) {
    store(master, v);
    if constexpr (!std::is_same_v<T, accum_t<T>>) store(parameter, v);
  } else {
    store(master, v, n);
    if constexpr (!std::is_same_v<T, accum_t<T>>) store(parameter, v, n);
  }
}
template <class T>
GRAM_INLINE vec<T> optimizer_load(const T* p, Index n) {
  return n == lanes<T> ? load(p) : load(p, n);
}
template <class A>
GRAM_INLINE void optimizer_store(A* p, vec<A> v, Index n) {
  if (n == lanes<A>)
    store(p, v);
  else
    store(p, v, n);
}

template <class T>
GRAM_KERNEL void sgd_update(Index n, T* parameter, accum_t<T>* master, const T* gradient,
                            accum_t<T>* momentum_buffer, const SgdStep<accum_t<T>>& s) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < n; i += L) {
    const Index m = n - i < L ? n - i : L;
    const vec<T> w = optimizer_load<A>(master + i, m);
    vec<T> d = fma(splat<T>(s.weight_decay), w, optimizer_load(gradient + i, m));
    if (momentum_buffer) {
      const vec<T> b =
          s.first ? d : fma(splat<T>(s.momentum), optimizer_load<A>(momentum_buffer + i, m), s.share * d);
      optimizer_store<A>(momentum_buffer + i, b, m);
      d = s.nesterov ? fma(splat<T>(s.momentum), b, d) : b;
    }
    optimizer_put_values<T>(master + i, parameter + i, fma(splat<T>(-s.lr), d, w), m);
  }
}

template <class T>
GRAM_KERNEL void adamw_update(Index n, T* parameter, accum_t<T>* master, const T* gradient, accum_t<T>* mean,
                              accum_t<T>* square, const AdamWStep<accum_t<T>>& s) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < n; i += L) {
    const Index k = n - i < L ? n - i : L;
    const vec<T> g = optimizer_load(gradient + i, k);
    const vec<T> m = fma(splat<T>(s.beta1), optimizer_load<A>(mean + i, k), s.share1 * g);
    const vec<T> v = fma(splat<T>(s.beta2), optimizer_load<A>(square + i, k), s.share2 * g * g);
    optimizer_store<A>(mean + i, m, k);
    optimizer_store<A>(square + i, v, k);
    const vec<T> denominator = fma(sqrt(v), splat<T>(s.correction), splat<T>(s.epsilon));
    optimizer_put_values<T>(master + i, parameter + i,
                            optimizer_load<A>(master + i, k) * s.keep - s.step * m / denominator, k);
  }
}

/// Sum of squares: vectors over 1024 elements, those sums in double.
template <class T>
GRAM_KERNEL double gradient_sum_squares(Index n, const T* x) {
  constexpr Index L = lanes<T>;
  double total = 0;
  for (Index begin = 0; begin < n; begin += 1024) {
    const Index end = begin + 1024 < n ? begin + 1024 : n;
    vec<T> squares = {};
    for (Index i = begin; i < end; i += L) {
      const vec<T> v = optimizer_load(x + i, end - i < L ? end - i : L);
      squares = fma(v, v, squares);
    }
    total += static_cast<double>(sum(squares));
  }
  return total;
}

template <class T>
GRAM_KERNEL void gradient_scale(Index n, T* x, accum_t<T> factor) {
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < n; i += L) {
    const Index k = n - i < L ? n - i : L;
    const vec<T> v = optimizer_load<T>(x + i, k) * factor;
    if (k == L)
      store(x + i, v);
    else
      store(x + i, v, k);
  }
}

template <class T>
inline constexpr OptimizerTable<T> optimizer_kernels{sgd_update<T>, adamw_update<T>, gradient_sum_squares<T>,
                                                     gradient_scale<T>};

}  // namespace gram::cpu::GRAM_ISA
