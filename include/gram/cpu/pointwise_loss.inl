// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// max(z, 0) - z t + log(1 + e^-|z|), which overflows for no z. Beyond n stand logits whose loss is zero.
template <class T>
GRAM_KERNEL double binary_cross_entropy(Index n, const T* z, const T* t) {
  constexpr Index w = lanes<T>;
  vec<T> total{};
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> x = load_padded(z + i, count, accum_t<T>(-1e30F)), positive = max(x, vec<T>{});
    total += positive - x * load_first(t + i, count) + log1p(exp(x - 2 * positive));
  }
  return static_cast<double>(sum(total));
}

template <class T>
GRAM_KERNEL void binary_cross_entropy_grad(Index n, const T* z, const T* t, accum_t<T> scale, T* dz,
                                           bool add) {
  constexpr Index w = lanes<T>;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dz + i, scale * (sigmoid(load_first(z + i, count)) - load_first(t + i, count)), count, add);
  }
}

template <class T>
GRAM_KERNEL void binary_cross_entropy_target_grad(Index n, const T* z, const T*, accum_t<T> scale, T* dt,
                                                  bool add) {
  constexpr Index w = lanes<T>;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dt + i, -scale * load_first(z + i, count), count, add);
  }
}

/// e^q (q - p) for log-probabilities p and q of the target; zero where e^q is.
template <class T>
GRAM_KERNEL double kl_divergence(Index n, const T* p, const T* q) {
  constexpr Index w = lanes<T>;
  vec<T> total{};
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> target = load_first(q + i, count), weight = exp(target);
    total += weight == vec<T>{} ? vec<T>{} : weight * (target - load_first(p + i, count));
  }
  return static_cast<double>(sum(total));
}

template <class T>
GRAM_KERNEL void kl_divergence_grad(Index n, const T*, const T* q, accum_t<T> scale, T* dp, bool add) {
  constexpr Index w = lanes<T>;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    put(dp + i, -scale * exp(load_first(q + i, count)), count, add);
  }
}

template <class T>
GRAM_KERNEL void kl_divergence_target_grad(Index n, const T* p, const T* q, accum_t<T> scale, T* dq,
                                           bool add) {
  constexpr Index w = lanes<T>;
  for (Index i = 0; i < n; i += w) {
    const Index count = n - i < w ? n - i : w;
    const vec<T> target = load_first(q + i, count), weight = exp(target);
    const vec<T> slope = weight * (target - load_first(p + i, count) + 1);
    put(dq + i, weight == vec<T>{} ? vec<T>{} : scale * slope, count, add);
  }
}

template <class T>
inline constexpr PointwiseLossTable<T> pointwise_loss_kernels{
    {binary_cross_entropy<T>, binary_cross_entropy_grad<T>, binary_cross_entropy_target_grad<T>},
    {kl_divergence<T>, kl_divergence_grad<T>, kl_divergence_target_grad<T>}};

}  // namespace gram::cpu::GRAM_ISA
