// SPDX-License-Identifier: MIT
// Functions of float vectors are branch-free and a few units in the last place exact; those of double vectors
// call libm lane by lane. NaN stays NaN.
namespace gram::cpu::GRAM_ISA {

/// Every lane the same constant: all<V>(0.5) for V = vec_f or vec_d.
template <class V>
GRAM_INLINE V all(double constant) {
  return static_cast<std::remove_cvref_t<decltype(V{}[0])>>(constant) - V{};
}

/// Natural logarithm: x = m 2^k with m in [sqrt(1/2), sqrt(2)), and the polynomial of Cephes' logf for
/// log(m).
GRAM_INLINE vec_f log(vec_f x) {
  const vec_f smallest = all<vec_f>(0x1p-126), infinity = splat<float>(__builtin_inff());
  const vec_u32 bits = reinterpret_cast<vec_u32>(x < smallest ? x * 0x1p23F : x);
  const vec_u32 sqrt_half = vec_u32{} + 0x3f3504f3U;
  const vec_i32 exponent = reinterpret_cast<vec_i32>(bits - sqrt_half) >> 23;
  const vec_f m = reinterpret_cast<vec_f>(bits - (reinterpret_cast<vec_u32>(exponent) << 23U));
  const vec_f k = __builtin_convertvector(exponent, vec_f) - (x < smallest ? all<vec_f>(23) : vec_f{});
  const vec_f t = m - 1.0F;
  vec_f p = fma(t, all<vec_f>(7.0376836292e-2), all<vec_f>(-1.1514610310e-1));
  p = fma(p, t, all<vec_f>(1.1676998740e-1));
  p = fma(p, t, all<vec_f>(-1.2420140846e-1));
  p = fma(p, t, all<vec_f>(1.4249322787e-1));
  p = fma(p, t, all<vec_f>(-1.6668057665e-1));
  p = fma(p, t, all<vec_f>(2.0000714765e-1));
  p = fma(p, t, all<vec_f>(-2.4999993993e-1));
  p = fma(p, t, all<vec_f>(3.3333331174e-1));
  // log 2 in two parts, the first with few enough bits that its product with k is exact
  const vec_f tail = fma(k, all<vec_f>(-2.12194440e-4), fma(p * t, t * t, -0.5F * t * t));
  const vec_f result = fma(k, all<vec_f>(0.693359375), t + tail);
  const vec_f special = x == vec_f{} ? -infinity : x < vec_f{} ? splat<float>(__builtin_nanf("")) : x;
  return ((x > vec_f{}) & (x < infinity)) ? result : special;
}
GRAM_INLINE vec_d log(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] = std::log(x[i]);
  return x;
}

/// log(1 + u) for u in [0, 1]; the second term restores what the rounding of 1 + u lost.
GRAM_INLINE vec_f log1p(vec_f u) {
  const vec_f w = u + 1.0F;
  return log(w) + (u - (w - 1.0F)) / w;
}
GRAM_INLINE vec_d log1p(vec_d u) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) u[i] = std::log1p(u[i]);
  return u;
}

/// Near zero the odd polynomial of Cephes' tanhf, 1 - 2 / (e^2x + 1) elsewhere.
GRAM_INLINE vec_f tanh(vec_f x) {
  const vec_f a = x < vec_f{} ? -x : x, s = x * x;
  vec_f p = fma(s, all<vec_f>(-5.70498872745e-3), all<vec_f>(2.06390887954e-2));
  p = fma(p, s, all<vec_f>(-5.37397155531e-2));
  p = fma(p, s, all<vec_f>(1.33314422036e-1));
  p = fma(p, s, all<vec_f>(-3.33332819422e-1));
  const vec_f near = fma(p * s, x, x), far = 1.0F - 2.0F / (exp(a + a) + 1.0F);
  return a < all<vec_f>(0.625) ? near : x < vec_f{} ? -far : far;
}
GRAM_INLINE vec_d tanh(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] = std::tanh(x[i]);
  return x;
}

template <class V>
GRAM_INLINE V sigmoid(V x) {
  const V one = all<V>(1);
  return one / (one + exp(-x));
}
/// Also 1 - sigmoid(x), without cancellation.
template <class V>
GRAM_INLINE V sigmoid(V x, V& complement) {
  const V one = all<V>(1), limit = all<V>(sizeof(x[0]) == 4 ? 80 : 700);  // keeps e^-x finite
  const V e = exp(min(limit, -x)), s = one / (one + e);
  complement = e * s;
  return s;
}

/// Phi(-a), the tail of the standard normal distribution, for a in [0, 6]: 2 to a polynomial fitted to log2
/// Phi(-a), so that nothing cancels. At a = 6 it is 1e-9.
GRAM_INLINE vec_f normal_tail(vec_f a) {
  const vec_f a2 = a * a;
  const vec_f q0 = fma(fma(a, all<vec_f>(-6.982418169e-3), all<vec_f>(5.247554400e-2)), a2,
                       fma(a, all<vec_f>(0.4592075599), all<vec_f>(1.151105748)));
  const vec_f q1 = fma(fma(a, all<vec_f>(1.366967524e-5), all<vec_f>(-8.360772864e-5)), a2,
                       fma(a, all<vec_f>(2.862742551e-4), all<vec_f>(1.137716506e-5)));
  const vec_f q2 =
      fma(a2, all<vec_f>(-2.086194412e-9), fma(a, all<vec_f>(8.070609836e-8), all<vec_f>(-1.382237875e-6)));
  const vec_f z = -a * fma(fma(q2, a2 * a2, q1), a2 * a2, q0);  // in [-30, -1]
  const vec_f magic = all<vec_f>(12582912);
  // 2^z = 2^n 2^f with f in [-1/2, 1/2]. Phi(0) is one half, and so are all coefficients of 2^f; n is added
  // to its exponent.
  const vec_f shifted = z + magic, f = z - (shifted - magic), f2 = f * f;
  const vec_f low = fma(fma(f, all<vec_f>(5.550328998e-2 / 2), all<vec_f>(0.2402264661 / 2)), f2,
                        fma(f, all<vec_f>(0.6931472056 / 2), all<vec_f>(0.5)));
  const vec_f high = fma(f2, all<vec_f>(1.533757676e-4 / 2),
                         fma(f, all<vec_f>(1.339986036e-3 / 2), all<vec_f>(9.618519535e-3 / 2)));
  const vec_i32 power = reinterpret_cast<vec_i32>(fma(high, f2 * f2, low));
  return reinterpret_cast<vec_f>(power + (reinterpret_cast<vec_i32>(shifted) << 23));
}

/// x Phi(x) = max(x, 0) - |x| Phi(-|x|); the last product is less than 6e-9 beyond 6 and stays there.
GRAM_INLINE vec_f gelu(vec_f x) {
  const vec_f a = min(abs(x), all<vec_f>(6));
  return fma(-a, normal_tail(a), max(vec_f{}, x));
}
/// Phi(x) + x phi(x)
GRAM_INLINE vec_f gelu_slope(vec_f x) {
  const vec_f t = normal_tail(min(abs(x), all<vec_f>(6)));
  const vec_f density = 0.3989422804F * exp(-0.5F * x * x);
  return fma(x, density, x < vec_f{} ? t : 1.0F - t);
}
GRAM_INLINE vec_d gelu(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] *= 0.5 * std::erfc(-0.70710678118654752440 * x[i]);
  return x;
}
GRAM_INLINE vec_d gelu_slope(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i)
    x[i] = 0.5 * std::erfc(-0.70710678118654752440 * x[i]) +
           0.39894228040143267794 * x[i] * std::exp(-0.5 * x[i] * x[i]);
  return x;
}

template <class V>
GRAM_INLINE V pow(V x, V exponent) {
  for (int i = 0; i < static_cast<int>(GRAM_BYTES / sizeof(x[0])); ++i) x[i] = std::pow(x[i], exponent[i]);
  return x;
}

}  // namespace gram::cpu::GRAM_ISA
