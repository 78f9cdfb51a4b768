// SPDX-License-Identifier: MIT
// Kernels for several instruction sets in one program, chosen at run time, without -march flags. A kernel
// file (*.inl) is included once for each set, in a namespace of its own, by for_each_isa.hpp. Rules that make
// this work with g++ 12 and clang 14:
//  * every function in a kernel file carries GRAM_KERNEL, or GRAM_INLINE for helpers: the target attribute is
//  not inherited,
//    not by lambdas and not by OpenMP regions;
//  * so no lambdas, no OpenMP and no std:: algorithms in kernel files: parallel loops live in ordinary code,
//  which calls
//    kernels through a table of function pointers;
//  * vectors are passed by value to GRAM_INLINE functions only (no ABI warnings), and a fused multiply-add is
//  an intrinsic.
#pragma once
#include <cmath>
#include <cstring>
#include <utility>

#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace gram {

/// Instruction sets that kernels are compiled for. base is SSE2 on x86-64 and NEON on ARM.
enum class Isa { base, avx2, avx512 };

namespace cpu {

inline Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::base;
}

inline Isa& isa_setting() {
  static Isa isa = best_isa();
  return isa;
}

}  // namespace cpu

/// The instruction set that kernels run with.
inline Isa isa() { return cpu::isa_setting(); }

inline const char* isa_name(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "base";
}

/// Chooses an instruction set by hand, for tests and comparisons. Throws ArgumentError when the machine lacks
/// it.
inline void set_isa(Isa isa) {
  require<ArgumentError>(isa <= cpu::best_isa(), "set_isa: this machine has no ", isa_name(isa));
  cpu::isa_setting() = isa;
}

}  // namespace gram

#define GRAM_INLINE GRAM_KERNEL __attribute__((always_inline)) inline
#if defined(__x86_64__)
#define GRAM_SELECT(table) \
  (isa() == Isa::avx512 ? avx512::table : isa() == Isa::avx2 ? avx2::table : base::table)
#else
#define GRAM_SELECT(table) (base::table)
#endif

#define GRAM_KERNEL_FILE "gram/cpu/simd.inl"
#include "gram/cpu/for_each_isa.hpp"
