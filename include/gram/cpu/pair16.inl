// SPDX-License-Identifier: MIT
// With GRAM_BF16_PAIRS an instruction multiplies and adds pairs; elsewhere two float multiply-adds do, after
// a shift and a mask: a bf16 is the upper half of a float.
namespace gram::cpu::GRAM_ISA {

/// sum + a.first b.first + a.second b.second in each lane.
GRAM_INLINE vec_f add_pair_products(vec_f sum, vec_u32 a, vec_u32 b) {
#if defined(GRAM_BF16_PAIRS)
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
  const vec_f second =
      fma(reinterpret_cast<vec_f>(a & 0xffff0000U), reinterpret_cast<vec_f>(b & 0xffff0000U), sum);
  return fma(reinterpret_cast<vec_f>(a << 16U), reinterpret_cast<vec_f>(b << 16U), second);
#endif
}

/// Two vectors of floats, rounded, one after the other.
GRAM_INLINE void store_rounded(Pair16* to, vec_f first, vec_f second) {
#if defined(GRAM_BF16_PAIRS)
  store<Pair16>(to, reinterpret_cast<vec_u32>(_mm512_cvtne2ps_pbh(second, first)));
#else
  store<bf16>(reinterpret_cast<bf16*>(to), first);
  store<bf16>(reinterpret_cast<bf16*>(to) + lanes<float>, second);
#endif
}

/// Two vectors of floats, rounded, lane by lane.
GRAM_INLINE void store_interleaved(Pair16* to, vec_f even, vec_f odd) {
#if defined(GRAM_BF16_PAIRS)
  const vec_u32 halves = {0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
                          0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f};
  const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
  store<Pair16>(to, reinterpret_cast<vec_u32>(_mm512_maskz_permutexvar_epi16(
                        0xffffffff, reinterpret_cast<__m512i>(halves), rounded)));
#else
  store<Pair16>(to, bf16_bits(even) | bf16_bits(odd) << 16U);
#endif
}

}  // namespace gram::cpu::GRAM_ISA
