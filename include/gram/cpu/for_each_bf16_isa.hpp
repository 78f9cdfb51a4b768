// SPDX-License-Identifier: MIT
// No include guard: as for_each_isa.hpp, and once more for AVX-512 with products of bf16 pairs
// (GRAM_BF16_PAIRS is defined there), in namespace avx512_bf16. Helpers of avx512 are inlined into its
// functions.
#if defined(__x86_64__)
namespace gram::cpu::avx512_bf16 {
using namespace avx512;
}
#define GRAM_ISA avx512_bf16
#define GRAM_KERNEL __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")))
#define GRAM_BYTES 64
#define GRAM_BF16_PAIRS
#include GRAM_KERNEL_FILE
#undef GRAM_ISA
#undef GRAM_KERNEL
#undef GRAM_BYTES
#undef GRAM_BF16_PAIRS
#endif
#include "gram/cpu/for_each_isa.hpp"
