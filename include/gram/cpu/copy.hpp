// SPDX-License-Identifier: MIT
// Memory in bulk: fill, copy, convert, accumulate.
#pragma once
#include <cstring>

#include "gram/core/device.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"

namespace gram::cpu {

template <class T>
struct CopyTable {
  void (*accumulate)(Index n, const T* x, T* y);
};
template <class T>
const CopyTable<T>& copy_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/copy.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::CopyTable<T>& gram::cpu::copy_table() {
  return GRAM_SELECT(copy_kernels<T>);
}
#endif

namespace gram::kernels {

/// Pieces of element-wise work: 64 K elements keep both cores busy and a piece in the L2 cache.
inline constexpr Index grain = Index{1} << 16;

template <class T>
void fill(Cpu, T* y, T value, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = value;
  });
}

template <class T>
void copy(Cpu, const T* x, T* y, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
    std::memcpy(static_cast<void*>(y + begin), x + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
  });
}

template <class From, class To>
void convert(Cpu, const From* x, To* y, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = static_cast<To>(x[i]);
  });
}

/// y += x
template <class T>
void accumulate(Cpu, const T* x, T* y, Index n) {
  const auto& table = cpu::copy_table<T>();
  parallel_for(n, grain,
               [&](Index begin, Index end) { table.accumulate(end - begin, x + begin, y + begin); });
}

}  // namespace gram::kernels
