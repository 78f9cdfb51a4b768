// SPDX-License-Identifier: MIT
// Sums and maxima along an axis.
#pragma once
#include "gram/cuda/along_axis.cuh"
#include "gram/cuda/formulas.hpp"
#include "gram/cuda/reduce.hpp"
#include "gram/cuda/strided_sum.cuh"

namespace gram::cuda {

/// (outer, inner) repeated along n.
inline kernels::Broadcast repeated_along(const AxisView& v) {
  return {Shape{v.outer, v.n, v.inner}, Shape{v.outer, 1, v.inner}, Shape{}};
}

/// f(a, b, c) = c
template <class A>
struct Third {
  GRAM_DEVICE A operator()(A, A, A c) const { return c; }
};
template <class T>
void reduce_sum(Cuda device, const T* x, T* y, const AxisView& v, double scale) {
  strided_sum(device, Third<accum_t<T>>{}, SumShape(repeated_along(v)), x, x, x, y, false, scale);
}
template <class T>
void reduce_sum_grad(Cuda device, const T* dy, T* dx, bool add, const AxisView& v, double scale) {
  const kernels::Broadcast s = repeated_along(v);
  strided(device, Scaled<accum_t<T>>{static_cast<accum_t<T>>(scale)}, s.outer, s.inner, dy, dy, dx, dx, add);
}
template <class T>
void sum_rows(Cuda device, Index rows, Index columns, const T* x, T* y, bool add) {
  const kernels::Broadcast s(Shape{rows, columns}, Shape{1, columns}, Shape{});
  strided_sum(device, Third<accum_t<T>>{}, SumShape(s), x, x, x, y, add, 1);
}

/// A value and the row it was found in.
template <class A>
struct Largest {
  A value;
  Index at;

  /// Keeps the larger of two, the first of equals; NaN is larger than any number.
  GRAM_DEVICE void take(A other, Index other_at) {
    const bool larger = !(other <= value) && value == value;
    const bool same = other == value || (other != other && value != value);
    if (larger || (same && other_at < at)) value = other, at = other_at;
  }
};

/// Rows [part * high, part * high + high) of n; parts go to (parts, outer, inner).
template <class T, int threads>
__global__ void max_kernel(const T* x, T* y, Index* at, AxisView v, Index high) {
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Index begin = blockIdx.y * high, end = begin + high < v.n ? begin + high : v.n;
  Largest<accum_t<T>> best{wide(x[along.at(begin)]), begin};
  for (Index r = begin + along.lane; r < end; r += threads) best.take(wide(x[along.at(r)]), r);
  if constexpr (threads > 1)
    for (int distance = warp_size / 2; distance; distance /= 2) {
      const accum_t<T> value = __shfl_xor_sync(0xffffffffU, best.value, distance);
      best.take(value, __shfl_xor_sync(0xffffffffU, best.at, distance));
    }
  if constexpr (threads > warp_size) {
    __shared__ accum_t<T> values[threads / warp_size];
    __shared__ Index rows[threads / warp_size];
    if (along.lane % warp_size == 0) {
      values[along.lane / warp_size] = best.value;
      rows[along.lane / warp_size] = best.at;
    }
    __syncthreads();
    for (int i = 0; i < threads / warp_size; ++i) best.take(values[i], rows[i]);
  }
  if (along.lane == 0) {
    const Index to = blockIdx.y * v.outer * v.inner + along.number;
    y[to] = narrow<T>(best.value);
    at[to] = best.at;
  }
}

template <class T>
__global__ void max_parts_kernel(const T* values, const Index* rows, T* y, Index* at, Index count,
                                 Index parts) {
  for (Index i = first_item(); i < count; i += item_step()) {
    Largest<accum_t<T>> best{wide(values[i]), rows[i]};
    for (Index part = 1; part < parts; ++part)
      best.take(wide(values[part * count + i]), rows[part * count + i]);
    y[i] = narrow<T>(best.value);
    at[i] = best.at;
  }
}

/// Reads x once. Where there are few positions n is cut into parts, so that all multiprocessors work.
template <class T>
void reduce_max(Cuda device, const T* x, T* y, Index* at, const AxisView& v) {
  const Index count = v.outer * v.inner;
  if (count == 0) return;
  const Index threads = v.inner > 1 ? 1 : block_threads, least = v.inner > 1 ? 256 : 8192;
  const Index room = ceil_div(Index{132} * 1024, count * threads), wanted = ceil_div(v.n, least);
  Index parts = wanted < room ? wanted : room;
  if (parts > 512) parts = 512;  // a thread goes through them
  const Index high = ceil_div(v.n, parts);
  parts = ceil_div(v.n, high);
  DeviceScratch<T> values(device, parts > 1 ? parts * count : 0);
  DeviceScratch<Index> rows(device, parts > 1 ? parts * count : 0);
  T* const to = parts > 1 ? values.data() : y;
  Index* const to_at = parts > 1 ? rows.data() : at;
  const auto parts_y = static_cast<unsigned>(parts);
  const auto blocks = [&](Index groups) {
    return dim3(static_cast<unsigned>(ceil_div(count, groups)), parts_y);
  };
  if (v.inner > 1 || v.n <= 8)
    launch(device, max_kernel<T, 1>, blocks(block_threads), dim3(1, block_threads), 0, x, to, to_at, v, high);
  else if (v.n <= 1024)
    launch(device, max_kernel<T, warp_size>, blocks(block_threads / warp_size),
           dim3(warp_size, block_threads / warp_size), 0, x, to, to_at, v, high);
  else
    launch(device, max_kernel<T, block_threads>, blocks(1), dim3(block_threads), 0, x, to, to_at, v, high);
  if (parts > 1)
    launch(device, max_parts_kernel<T>, grid_blocks(count), block_threads, 0, to, to_at, y, at, count, parts);
}

/// Writes dx once: its elements ask whether they were the largest.
template <class T>
__global__ void max_grad_kernel(const T* dy, const Index* at, T* dx, bool add, AxisView v) {
  const Index size = v.outer * v.n * v.inner;
  for (Index i = first_item(); i < size; i += item_step()) {
    const Index row = i / v.inner, from = row / v.n * v.inner + i % v.inner;
    const bool mine = at[from] == row % v.n;
    if (add) {
      if (mine) dx[i] = narrow<T>(wide(dx[i]) + wide(dy[from]));
    } else {
      dx[i] = mine ? dy[from] : T(0.0F);
    }
  }
}
template <class T>
void reduce_max_grad(Cuda device, const T* dy, const Index* at, T* dx, bool add, const AxisView& v) {
  launch(device, max_grad_kernel<T>, grid_blocks(v.outer * v.n * v.inner), block_threads, 0, dy, at, dx, add,
         v);
}

template <class T>
void fill_in_reduce_tables() {
  reduce_table<T> = {reduce_sum<T>, reduce_sum_grad<T>, reduce_max<T>, reduce_max_grad<T>, sum_rows<T>};
}

}  // namespace gram::cuda
