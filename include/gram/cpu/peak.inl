// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Independent chains of multiply-adds: more than latency times units of any current core.
inline constexpr int peak_chains = 12;

template <class T>
GRAM_KERNEL accum_t<T> peak_run(Index steps, accum_t<T> factor) {
  vec<T> sums[peak_chains];
#pragma GCC unroll 12
  for (int i = 0; i < peak_chains; ++i) sums[i] = splat<T>(static_cast<accum_t<T>>(i));
  const vec<T> f = splat<T>(factor);
  for (Index s = 0; s < steps; ++s)
#pragma GCC unroll 12
    for (int i = 0; i < peak_chains; ++i)
      if constexpr (std::is_same_v<T, bf16>)
        sums[i] = add_pair_products(sums[i], reinterpret_cast<vec_u32>(f), reinterpret_cast<vec_u32>(f));
      else
        sums[i] = fma(sums[i], f, f);
  vec<T> total = {};
#pragma GCC unroll 12
  for (int i = 0; i < peak_chains; ++i) total += sums[i];
  return sum(total);
}

template <class T>
inline constexpr PeakTable<T> peak_kernels{(std::is_same_v<T, bf16> ? 4 : 2) * peak_chains * lanes<T>,
                                           peak_run<T>};

}  // namespace gram::cpu::GRAM_ISA
