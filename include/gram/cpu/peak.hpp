// SPDX-License-Identifier: MIT
// The rate of fused multiply-adds that stay in registers: the limit of every product on this machine, for
// benchmarks.
#pragma once
#include "gram/cpu/simd.hpp"

namespace gram::cpu {

template <class T>
struct PeakTable {
  Index operations;                 ///< floating-point operations of a step
  T (*run)(Index steps, T factor);  ///< the result depends on all of them
};
template <class T>
const PeakTable<T>& peak_table();

}  // namespace gram::cpu

#define GRAM_KERNEL_FILE "gram/cpu/peak.inl"  // not in the compiled library: only benchmarks ask
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::PeakTable<T>& gram::cpu::peak_table() {
  return GRAM_SELECT(peak_kernels<T>);
}
