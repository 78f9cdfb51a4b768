// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

typedef std::uint64_t vec_u64 __attribute__((vector_size(GRAM_BYTES)));

/// Products of the lower halves of the lanes.
GRAM_INLINE vec_u64 multiply_low(vec_u64 a, vec_u64 b) {
#if GRAM_BYTES == 64
  return reinterpret_cast<vec_u64>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif GRAM_BYTES == 32
  return reinterpret_cast<vec_u64>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__x86_64__)
  return reinterpret_cast<vec_u64>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a & 0xffffffffU) * (b & 0xffffffffU);
#endif
}

inline constexpr int philox_lanes = GRAM_BYTES / 8;

/// The words of key.bits(group), key.bits(group + 1), .. for philox_lanes counters at once: see philox() in
/// core/random.hpp. Words are in the lower halves of 64-bit lanes; what is left in the upper halves is
/// cleared at the end.
GRAM_INLINE void random_words(RandomKey key, std::uint64_t group, std::uint64_t* words) {
  constexpr std::uint64_t low = 0xffffffffU;
  vec_u64 position{};
  for (int i = 0; i < philox_lanes; ++i) position[i] = group + static_cast<std::uint64_t>(i);
  vec_u64 c0 = position, c1 = position >> 32U;
  vec_u64 c2 = vec_u64{} + (key.stream & low), c3 = vec_u64{} + (key.stream >> 32U);
  std::uint64_t k0 = key.seed & low, k1 = key.seed >> 32U;
  const vec_u64 m0 = vec_u64{} + std::uint64_t{0xD2511F53U}, m1 = vec_u64{} + std::uint64_t{0xCD9E8D57U};
  for (int round = 0; round < 10; ++round) {
    const vec_u64 a = multiply_low(m0, c0), b = multiply_low(m1, c2);
    c0 = (b >> 32U) ^ c1 ^ k0;
    c1 = b;
    c2 = (a >> 32U) ^ c3 ^ k1;
    c3 = a;
    k0 = (k0 + 0x9E3779B9U) & low;
    k1 = (k1 + 0xBB67AE85U) & low;
  }
  const vec_u64 first = (c0 & low) | (c1 << 32U), second = (c2 & low) | (c3 << 32U);
  for (int i = 0; i < philox_lanes; ++i) {
    words[2 * i] = first[i];
    words[2 * i + 1] = second[i];
  }
}

template <class T>
GRAM_KERNEL void dropout(RandomKey key, std::uint64_t group, std::uint32_t threshold, accum_t<T> scale,
                         Index n, const T* x, T* y, bool add) {
  constexpr Index chunk = 4 * philox_lanes;
  for (Index i = 0; i < n; i += chunk, group += philox_lanes) {
    std::uint64_t words[2 * philox_lanes];
    random_words(key, group, words);
    const Index count = n - i < chunk ? n - i : chunk;
    for (Index j = 0; j < count; ++j) {
      const auto word = static_cast<std::uint32_t>(words[j / 2] >> (32 * (j % 2)));
      const accum_t<T> value = word >= threshold ? static_cast<accum_t<T>>(x[i + j]) * scale : accum_t<T>(0);
      y[i + j] = static_cast<T>(add ? static_cast<accum_t<T>>(y[i + j]) + value : value);
    }
  }
}

template <class T>
inline constexpr DropoutTable<T> dropout_kernels{dropout<T>};

}  // namespace gram::cpu::GRAM_ISA
