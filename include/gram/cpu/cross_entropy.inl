// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Without smoothing the other logits do not enter the loss again: they may be -inf, to mask classes.
template <class T>
GRAM_KERNEL double cross_entropy_label(Index n, const T* x, Index label, accum_t<T> s, accum_t<T>* kept) {
  constexpr Index w = lanes<T>;
  using A = accum_t<T>;
  const auto z = normaliser(n, x);
  kept[0] = z.top;
  kept[1] = z.log_sum;
  const A own = z.log_sum - (static_cast<A>(x[label]) - z.top);
  if (s == 0) return static_cast<double>(own);
  vec<T> shifted{};
  for (Index i = 0; i < n; i += w) shifted += load_padded(x + i, n - i < w ? n - i : w, z.top) - z.top;
  const A average = z.log_sum - sum(shifted) / static_cast<A>(n);
  return static_cast<double>((1 - s) * own + s * average);
}

template <class T>
GRAM_KERNEL double cross_entropy_soft(Index n, const T* x, const T* t, accum_t<T> s, accum_t<T>* kept) {
  constexpr Index w = lanes<T>;
  using A = accum_t<T>;
  const auto z = normaliser(n, x);
  kept[0] = z.top;
  kept[1] = z.log_sum;
  const A keep = 1 - s, share = s / static_cast<A>(n);
  T ones[w];
  for (Index i = 0; i < w; ++i) ones[i] = T(1);
  vec<T> partial{};
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> target = keep * load_first(t + i, count) + share * load_first(ones, count);  // zero beyond n
    const vec<T> loss = z.log_sum - (load_padded(x + i, count, z.top) - z.top);
    partial += target == vec<T>{} ? vec<T>{} : target * loss;
  }
  return static_cast<double>(sum(partial));
}

template <class T>
GRAM_KERNEL void cross_entropy_label_grad(Index n, const T* x, Index label, accum_t<T> s,
                                          const accum_t<T>* kept, accum_t<T> scale, T* dx, bool add) {
  constexpr Index w = lanes<T>;
  using A = accum_t<T>;
  const A share = s / static_cast<A>(n);
  const A before = add ? static_cast<A>(dx[label]) : A(0);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> p = exp(load_first(x + i, count) - kept[0] - kept[1]);
    put(dx + i, scale * (p - share), count, add);
  }
  // The label's own entry from its full-precision probability: p rounded to bf16 would be 1 long before it
  // is.
  const A p = std::exp(static_cast<A>(x[label]) - kept[0] - kept[1]);
  dx[label] = static_cast<T>(before + scale * (p - share - (1 - s)));
}

template <class T>
GRAM_KERNEL void cross_entropy_soft_grad(Index n, const T* x, const T* t, accum_t<T> s,
                                         const accum_t<T>* kept, accum_t<T> scale, T* dx, bool add) {
  constexpr Index w = lanes<T>;
  using A = accum_t<T>;
  const A keep = 1 - s, share = s / static_cast<A>(n);
  vec<T> partial{};
  for (Index i = 0; i < n; i += w) partial += load_first(t + i, n - i < w ? n - i : w);
  const A total = keep * sum(partial) + s;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> p = exp(load_first(x + i, count) - kept[0] - kept[1]);
    put(dx + i, scale * (p * total - (keep * load_first(t + i, count) + share)), count, add);
  }
}

template <class T>
GRAM_KERNEL void cross_entropy_target_grad(Index n, const T* x, accum_t<T> s, const accum_t<T>* kept,
                                           accum_t<T> scale, T* dt, bool add) {
  constexpr Index w = lanes<T>;
  const accum_t<T> factor = scale * (1 - s);
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dt + i, factor * (kept[1] - (load_first(x + i, count) - kept[0])), count, add);
  }
}

template <class T>
inline constexpr CrossEntropyTable<T> cross_entropy_kernels{
    cross_entropy_label<T>, cross_entropy_soft<T>, cross_entropy_label_grad<T>, cross_entropy_soft_grad<T>,
    cross_entropy_target_grad<T>};

}  // namespace gram::cpu::GRAM_ISA
