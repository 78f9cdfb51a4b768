// SPDX-License-Identifier: MIT
// Vectors of one instruction set: vec<float> and vec<double> of GRAM_BYTES bytes, with + - * / < > and ?: of
// the compiler's vector extensions. bf16 is a storage type: load gives floats, store rounds.
namespace gram::cpu::GRAM_ISA {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(GRAM_BYTES)));
  typedef T unaligned __attribute__((vector_size(GRAM_BYTES), aligned(alignof(T)), may_alias));
};
template <class T>
using vec = typename VectorOf<accum_t<T>>::type;
/// Elements in a vector of accum_t<T>.
template <class T>
inline constexpr Index lanes = GRAM_BYTES / static_cast<Index>(sizeof(accum_t<T>));

typedef std::uint32_t vec_u32 __attribute__((vector_size(GRAM_BYTES)));
typedef std::int32_t vec_i32 __attribute__((vector_size(GRAM_BYTES)));
typedef std::uint16_t vec_u16 __attribute__((vector_size(GRAM_BYTES / 2), aligned(2), may_alias));

template <class T>
GRAM_INLINE vec<T> splat(accum_t<T> x) {
  return x - vec<T>{};
}

/// lanes<T> consecutive elements, at any address.
template <class T>
GRAM_INLINE vec<T> load(const T* p) {
  if constexpr (std::is_same_v<T, bf16>) {
    const vec_u32 wide = __builtin_convertvector(*reinterpret_cast<const vec_u16*>(p), vec_u32) << 16U;
    return reinterpret_cast<vec<T>>(wide);
  } else {
    return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
  }
}
/// The bits of floats rounded to bf16: to nearest, ties to even; NaN stays NaN.
GRAM_INLINE vec_u32 bf16_bits(vec<float> v) {
  const vec_u32 u = reinterpret_cast<vec_u32>(v);
  const vec_u32 rounded = (u + 0x7fffU + ((u >> 16U) & 1U)) >> 16U;
  const vec_u32 nan = (u >> 16U) | 0x40U;
  const vec_u32 is_nan = reinterpret_cast<vec_u32>((u & 0x7fffffffU) > 0x7f800000U);
  return (nan & is_nan) | (rounded & ~is_nan);
}
template <class T>
GRAM_INLINE void store(T* p, vec<T> v) {
  if constexpr (std::is_same_v<T, bf16>) {
    *reinterpret_cast<vec_u16*>(p) = __builtin_convertvector(bf16_bits(v), vec_u16);
  } else {
    *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
  }
}
/// Stores past the caches, to an aligned address; stream_fence() before another thread looks. Ordinary stores
/// read the memory first and drive out of the caches what is there.
template <class T>
GRAM_INLINE void stream(T* p, vec<T> v) {
#if defined(__x86_64__)
  if constexpr (!std::is_same_v<T, bf16>) {
#if GRAM_BYTES == 64
    return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(v));
#elif GRAM_BYTES == 32
    return _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
#else
    return _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(v));
#endif
  }
#endif
  store(p, v);
}
GRAM_INLINE void stream_fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}
/// The first n < lanes elements; the rest of the vector is zero.
template <class T>
GRAM_INLINE vec<T> load(const T* p, Index n) {
#if GRAM_BYTES == 64
  if constexpr (std::is_same_v<T, float>)
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1U), p);
  if constexpr (std::is_same_v<T, double>)
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1U << n) - 1U), p);
#endif
  T buffer[lanes<T>] = {};
  std::memcpy(static_cast<void*>(buffer), p, static_cast<std::size_t>(n) * sizeof(T));
  return load(buffer);
}
template <class T>
GRAM_INLINE void store(T* p, vec<T> v, Index n) {
#if GRAM_BYTES == 64
  if constexpr (std::is_same_v<T, float>)
    return _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1U << n) - 1U), v);
  if constexpr (std::is_same_v<T, double>)
    return _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1U << n) - 1U), v);
#endif
  T buffer[lanes<T>];
  store(buffer, v);
  std::memcpy(static_cast<void*>(p), buffer, static_cast<std::size_t>(n) * sizeof(T));
}

typedef typename VectorOf<float>::type vec_f;
typedef typename VectorOf<double>::type vec_d;

/// a b + c with one rounding where the machine can.
GRAM_INLINE vec_f fma(vec_f a, vec_f b, vec_f c) {
#if GRAM_BYTES == 64
  return _mm512_fmadd_ps(a, b, c);
#elif GRAM_BYTES == 32
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
GRAM_INLINE vec_d fma(vec_d a, vec_d b, vec_d c) {
#if GRAM_BYTES == 64
  return _mm512_fmadd_pd(a, b, c);
#elif GRAM_BYTES == 32
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f64(c, a, b);
#else
  return a * b + c;
#endif
}

// The zero-masked forms avoid false "uninitialized" warnings from g++ 12's own headers.
GRAM_INLINE vec_f sqrt(vec_f x) {
#if GRAM_BYTES == 64
  return _mm512_maskz_sqrt_ps(0xffff, x);
#elif GRAM_BYTES == 32
  return _mm256_sqrt_ps(x);
#elif defined(__x86_64__)
  return _mm_sqrt_ps(x);
#else
  for (int i = 0; i < GRAM_BYTES / 4; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}
GRAM_INLINE vec_d sqrt(vec_d x) {
#if GRAM_BYTES == 64
  return _mm512_maskz_sqrt_pd(0xff, x);
#elif GRAM_BYTES == 32
  return _mm256_sqrt_pd(x);
#elif defined(__x86_64__)
  return _mm_sqrt_pd(x);
#else
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

// a > b ? a : b and a < b ? a : b, also where one is NaN: then b. Compilers make two instructions of these.
GRAM_INLINE vec_f max(vec_f a, vec_f b) {
#if GRAM_BYTES == 64
  return _mm512_maskz_max_ps(0xffff, a, b);
#elif GRAM_BYTES == 32
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
GRAM_INLINE vec_f min(vec_f a, vec_f b) {
#if GRAM_BYTES == 64
  return _mm512_maskz_min_ps(0xffff, a, b);
#elif GRAM_BYTES == 32
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
template <class V>
GRAM_INLINE V max(V a, V b) {
  return a > b ? a : b;
}
template <class V>
GRAM_INLINE V min(V a, V b) {
  return a < b ? a : b;
}
/// Without its sign.
GRAM_INLINE vec_f abs(vec_f x) { return reinterpret_cast<vec_f>(reinterpret_cast<vec_u32>(x) & 0x7fffffffU); }

/// Lane i becomes lane i + Shift, counted round.
template <int Shift, class V, int... I>
GRAM_INLINE V rotated(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + Shift) % static_cast<int>(sizeof...(I)))...);
}
/// Sum of the lanes, always in the same order: pairs at half the width, then a quarter, ... All lanes add, so
/// that nothing leaves the vector registers.
template <class V>
GRAM_INLINE auto sum(V v) {
  constexpr int n = static_cast<int>(GRAM_BYTES / sizeof(v[0]));
  constexpr auto lane = std::make_integer_sequence<int, n>{};
  if constexpr (n > 8) v += rotated<8>(v, lane);
  if constexpr (n > 4) v += rotated<4>(v, lane);
  if constexpr (n > 2) v += rotated<2>(v, lane);
  v += rotated<1>(v, lane);
  return v[0];
}
template <class V>
GRAM_INLINE auto max_lane(V v) {
  constexpr int n = static_cast<int>(GRAM_BYTES / sizeof(v[0]));
  constexpr auto lane = std::make_integer_sequence<int, n>{};
  if constexpr (n > 8) v = max(rotated<8>(v, lane), v);
  if constexpr (n > 4) v = max(rotated<4>(v, lane), v);
  if constexpr (n > 2) v = max(rotated<2>(v, lane), v);
  v = max(rotated<1>(v, lane), v);
  return v[0];
}

/// e^x: Cody and Waite's reduction and a polynomial of degree 7, at most 1.3 units in the last place.
GRAM_INLINE vec_f exp(vec_f x) {
  const vec_f low = splat<float>(-87.33654F), high = splat<float>(88.72284F);
  const vec_f magic = splat<float>(12582912.0F);  // 1.5 2^23: adding it rounds to an integer in the low bits
  const vec_f y = min(max(x, low), high);
  const vec_f shifted = fma(y, splat<float>(1.44269504F), magic), n = shifted - magic;
  const vec_f r = fma(n, splat<float>(-1.42860682e-6F), fma(n, splat<float>(-0.693145752F), y));
  vec_f p = fma(r, splat<float>(1.990044385e-04F), splat<float>(1.393454452e-03F));
  p = fma(p, r, splat<float>(8.333297064e-03F));
  p = fma(p, r, splat<float>(4.166645678e-02F));
  p = fma(p, r, splat<float>(1.666666672e-01F));
  p = fma(p, r, splat<float>(5.000000014e-01F));
  const vec_f e = fma(p, r * r, r + 1.0F);
  // 2^n in two factors, so that n = 128 does not overflow before the product
  const vec_i32 k = __builtin_convertvector(n, vec_i32), a = k >> 1, b = k - a;
  const vec_f result =
      e * reinterpret_cast<vec_f>((a + 127) << 23) * reinterpret_cast<vec_f>((b + 127) << 23);
  const vec_f clipped = x < low ? vec_f{} : x > high ? splat<float>(__builtin_inff()) : result;
  return x == x ? clipped : x;
}
GRAM_INLINE vec_d exp(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] = std::exp(x[i]);
  return x;
}

/// 2^x for x below 127, as soft-max needs it: x = n + f with |f| <= 1/2, a polynomial of degree 6 for 2^f
/// (one unit in the last place), and n added to its exponent. 0 from -127 on; NaN stays NaN.
GRAM_INLINE vec_f exp2_below(vec_f x) {
  const vec_f magic = splat<float>(12582912.0F);  // 1.5 2^23: adding it rounds to an integer in the low bits
  const vec_f y = max(splat<float>(-127.0F), x), shifted = y + magic, f = y - (shifted - magic), f2 = f * f;
  const vec_f low = fma(fma(f, splat<float>(5.550328998e-2F), splat<float>(0.2402264661F)), f2,
                        fma(f, splat<float>(0.6931472056F), splat<float>(1.0F)));
  const vec_f high = fma(f2, splat<float>(1.533757676e-4F),
                         fma(f, splat<float>(1.339986036e-3F), splat<float>(9.618519535e-3F)));
  const vec_i32 power = reinterpret_cast<vec_i32>(fma(high, f2 * f2, low));
  return reinterpret_cast<vec_f>(power + (reinterpret_cast<vec_i32>(shifted) << 23));
}
GRAM_INLINE vec_d exp2_below(vec_d x) {
  for (int i = 0; i < GRAM_BYTES / 8; ++i) x[i] = std::exp2(x[i]);
  return x;
}

}  // namespace gram::cpu::GRAM_ISA
