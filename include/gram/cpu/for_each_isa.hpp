// SPDX-License-Identifier: MIT
// No include guard: includes GRAM_KERNEL_FILE once for each instruction set, with
//   GRAM_ISA     the namespace: avx512, avx2 or base
//   GRAM_KERNEL  the target attribute every function there carries
//   GRAM_BYTES   the size of a vector
#if defined(__x86_64__)
#define GRAM_ISA avx512
#define GRAM_KERNEL __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")))
#define GRAM_BYTES 64
#include GRAM_KERNEL_FILE
#undef GRAM_ISA
#undef GRAM_KERNEL
#undef GRAM_BYTES
#define GRAM_ISA avx2
#define GRAM_KERNEL __attribute__((target("avx2,fma")))
#define GRAM_BYTES 32
#include GRAM_KERNEL_FILE
#undef GRAM_ISA
#undef GRAM_KERNEL
#undef GRAM_BYTES
#endif
#define GRAM_ISA base
#define GRAM_KERNEL
#define GRAM_BYTES 16
#include GRAM_KERNEL_FILE
#undef GRAM_ISA
#undef GRAM_KERNEL
#undef GRAM_BYTES
#undef GRAM_KERNEL_FILE
