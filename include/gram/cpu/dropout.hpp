// SPDX-License-Identifier: MIT
// Random zeros. The masks are functions of a key and the position, so backward makes them again and nothing
// is stored.
#pragma once
#include <algorithm>
#include <cmath>

#include "gram/core/random.hpp"
#include "gram/cpu/copy.hpp"

namespace gram::cpu {

template <class T>
struct DropoutTable {
  /// For n elements from element 4 `group` of the stream on: y [+]= x scale where the random word is >=
  /// threshold, else 0.
  void (*dropout)(RandomKey key, std::uint64_t group, std::uint32_t threshold, accum_t<T> scale, Index n,
                  const T* x, T* y, bool add);
};
template <class T>
const DropoutTable<T>& dropout_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/dropout.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::DropoutTable<T>& gram::cpu::dropout_table() {
  return GRAM_SELECT(dropout_kernels<T>);
}
#endif

namespace gram::kernels {

/// y [+]= x / (1 - p) where the element is kept, else 0. Element i is dropped when word i % 4 of key.bits(i /
/// 4) is below p 2^32. Forward (x to y) and backward (dy to dx) are the same function. 0 <= p < 1.
template <class T>
void dropout(Cpu, RandomKey key, double p, const T* x, T* y, bool add, Index n) {
  const auto kernel = cpu::dropout_table<T>().dropout;
  const auto threshold = static_cast<std::uint32_t>(std::min(std::round(p * 0x1p32), 0x1p32 - 1));
  const auto scale = static_cast<accum_t<T>>(1 / (1 - p));
  constexpr Index piece =
      Index{1} << 13;  // a random word costs more than a load: smaller pieces than kernels::grain
  parallel_for(n, piece, [&](Index begin, Index end) {
    kernel(key, static_cast<std::uint64_t>(begin / 4), threshold, scale, end - begin, x + begin, y + begin,
           add);
  });
}

/// The same for whole samples of `size` elements: sample i is dropped when key.uniform(i) < p.
template <class T>
void drop_path(Cpu, RandomKey key, double p, const T* x, T* y, bool add, Index samples, Index size) {
  parallel_blocks(samples, [&](Index sample, int) {
    const bool kept = key.uniform(static_cast<std::uint64_t>(sample)) >= p;
    const auto factor = static_cast<accum_t<T>>(kept ? 1 / (1 - p) : 0.0);
    const T* from = x + sample * size;
    T* to = y + sample * size;
    for (Index i = 0; i < size; ++i) {
      const auto value = static_cast<accum_t<T>>(from[i]) * factor;
      to[i] = static_cast<T>(add ? static_cast<accum_t<T>>(to[i]) + value : value);
    }
  });
}

}  // namespace gram::kernels
