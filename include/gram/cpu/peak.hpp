// SPDX-License-Identifier: MIT
// The rate of fused multiply-adds that stay in registers: the limit of every product on this machine, for
// benchmarks. For bf16 it is the rate of multiply-adds of pairs.
#pragma once
#include "gram/cpu/pair16.hpp"

namespace gram::cpu {

template <class T>
struct PeakTable {
  Index operations;                                   ///< floating-point operations of a step
  accum_t<T> (*run)(Index steps, accum_t<T> factor);  ///< the result depends on all of them
};
template <class T>
const PeakTable<T>& peak_table();

}  // namespace gram::cpu

// Not in the compiled library, as only benchmarks ask.
#define GRAM_KERNEL_FILE "gram/cpu/peak.inl"
#include "gram/cpu/for_each_bf16_isa.hpp"
template <class T>
const gram::cpu::PeakTable<T>& gram::cpu::peak_table() {
  return GRAM_SELECT_BF16(peak_kernels<T>);
}
