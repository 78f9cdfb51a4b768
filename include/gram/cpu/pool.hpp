// SPDX-License-Identifier: MIT
// Maximum over windows of maps (N, H, W, C). Average pools are resampling with constant weights:
// cpu/resize.hpp.
#pragma once
#include <algorithm>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"
#include "gram/kernels/pool.hpp"

namespace gram {

namespace cpu {

template <class T>
struct PoolTable {
  void (*max_row)(const T* x, const PoolWindows& s, Index C, Index out_row, T* y, std::int32_t* picks);
  void (*max_grad_row)(const T* dy, const std::int32_t* picks, const PoolWindows& s, Index C, Index row,
                       T* dx, bool add);
};
template <class T>
const PoolTable<T>& pool_table();

}  // namespace cpu
}  // namespace gram

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/pool.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::PoolTable<T>& gram::cpu::pool_table() {
  return GRAM_SELECT(pool_kernels<T>);
}
#endif

namespace gram::kernels {

/// Rows of a map in a piece of work: about 16 K elements.
inline Index pool_grain(Index row) { return std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, row)); }

/// x (N, H, W, C) -> y (N, H', W', C); picks (as y, or null) says which position of its window each maximum
/// came from.
template <class T>
void max_pool(Cpu, const T* x, Index N, Index C, const PoolWindows& s, T* y, std::int32_t* picks) {
  const auto& table = cpu::pool_table<T>();
  const Index image = s.h * s.w * C, row = s.out_w * C;
  parallel_for(N * s.out_h, pool_grain(row), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r)
      table.max_row(x + r / s.out_h * image, s, C, r % s.out_h, y + r * row,
                    picks ? picks + r * row : nullptr);
  });
}
template <class T>
void max_pool_grad(Cpu, const T* dy, const std::int32_t* picks, Index N, Index C, const PoolWindows& s,
                   GradientSink<T> dx) {
  const auto& table = cpu::pool_table<T>();
  const Index image = s.out_h * s.out_w * C, row = s.w * C;
  parallel_for(N * s.h, pool_grain(row), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r)
      table.max_grad_row(dy + r / s.h * image, picks + r / s.h * image, s, C, r % s.h, dx.data + r * row,
                         dx.add);
  });
}

}  // namespace gram::kernels
