// SPDX-License-Identifier: MIT
// Sums of f(a, b, c) over some axes of a broadcast shape: gradients of repeated operands, of biases, and sums
// along an axis. Work is cut by shape alone; the sums of the parts are added in their order, in double.
#pragma once
#include "gram/cuda/strided.cuh"

namespace gram::cuda {

/// The axes that stay, those that are summed over, and the innermost axis, which stays where inner.a is not
/// zero.
struct SumShape {
  kernels::BroadcastAxes kept, reduced;
  kernels::BroadcastAxis inner;

  explicit SumShape(const kernels::Broadcast& s) : inner(s.inner) {
    for (int i = 0; i < s.outer.count(); ++i) (s.outer[i].a ? kept : reduced).append(s.outer[i]);
  }
  constexpr bool keeps_inner() const { return inner.a != 0; }
  /// Results to a position of the kept axes.
  constexpr Index width() const { return keeps_inner() ? inner.extent : 1; }
  /// Terms of a result.
  constexpr Index terms() const { return reduced.size() * (keeps_inner() ? 1 : inner.extent); }
};

/// Where sums go: parts of them to `partial` (units, parts, width), or, when there is one part, to y.
template <class T>
struct SumResult {
  accum_t<T>* partial;
  T* y;
  bool add;
  double scale;

  GRAM_DEVICE void put(Index i, double total) const {
    const auto value = static_cast<accum_t<T>>(scale * total);
    y[i] = narrow<T>(add ? wide(y[i]) + value : value);
  }
};

/// Columns stay: a block sums rows [part * high, part * high + high) of N neighbouring columns per thread;
/// threads along y take every blockDim.y-th row.
template <class T, int N, class F>
__global__ void sum_columns_kernel(F f, SumShape s, const T* a, const T* b, const T* c, SumResult<T> result,
                                   Index high) {
  using A = accum_t<T>;
  __shared__ A shared[block_threads * N];
  const Index units = s.kept.size(), rows = s.reduced.size(), n = s.inner.extent, parts = gridDim.y;
  const Index column = first_item() * N, begin = blockIdx.y * high + threadIdx.y,
              end = (blockIdx.y + 1) * high < rows ? (blockIdx.y + 1) * high : rows;
  const unsigned slot = (threadIdx.y * blockDim.x + threadIdx.x) * N;
  for (Index unit = blockIdx.z; unit < units; unit += gridDim.z) {
    const kernels::BroadcastOffset start = s.kept.at(unit);
    A total[N] = {};
    if (column < n) {
      GRAM_UNROLL_BY(4)
      for (Index r = begin; r < end; r += blockDim.y) {
        const kernels::BroadcastOffset o = s.reduced.at(r);
        const T* const mine = a + start.a;
        const T* const other = b + start.b + o.b;
        const T* const dy = c + start.y + o.y;
        if constexpr (N == 1) {
          total[0] += f(wide(mine[column]), wide(other[column * s.inner.b]), wide(dy[column]));
        } else {
          const Line<T> u = load_line(mine, column, 1), v = load_line(other, column, s.inner.b),
                        w = load_line(dy, column, 1);
          for (int k = 0; k < N; ++k) total[k] += f(wide(u.value[k]), wide(v.value[k]), wide(w.value[k]));
        }
      }
    }
    constexpr auto width = static_cast<unsigned>(N);
    for (unsigned k = 0; k < width; ++k) shared[slot + k] = total[k];
    for (unsigned half = blockDim.y / 2; half; half /= 2) {
      __syncthreads();
      if (threadIdx.y < half)
        for (unsigned k = 0; k < width; ++k) shared[slot + k] += shared[slot + half * blockDim.x * width + k];
    }
    if (threadIdx.y == 0 && column < n)
      for (unsigned k = 0; k < width; ++k) {
        if (parts > 1)
          result.partial[(unit * parts + blockIdx.y) * n + column + k] = shared[slot + k];
        else
          result.put(unit * n + column + k, static_cast<double>(shared[slot + k]));
      }
    __syncthreads();
  }
}

/// Everything but the kept axes is summed: `threads`, a warp or a block, add the terms of one part, in turns.
template <class T, int threads, class F>
__global__ void sum_terms_kernel(F f, SumShape s, const T* a, const T* b, const T* c, SumResult<T> result,
                                 Index parts, Index high) {
  using A = accum_t<T>;
  __shared__ double scratch[warp_size];
  const Index unit_part = static_cast<Index>(blockIdx.x) * blockDim.y + threadIdx.y;
  const Index unit = unit_part / parts, begin = unit_part % parts * high, terms = s.terms(),
              end = begin + high < terms ? begin + high : terms, n = s.inner.extent;
  if (unit >= s.kept.size()) return;  // a whole warp, or a whole block
  const kernels::BroadcastOffset start = s.kept.at(unit);
  A total = 0;
  Index row = begin, column = 0;
  if (begin < end) {
    row = (begin + threadIdx.x) / n;
    column = (begin + threadIdx.x) % n;
  }
  const Index rows_on = n ? threads / n : 0, columns_on = n ? threads % n : 0;
  for (Index i = begin + threadIdx.x; i < end; i += threads) {
    const kernels::BroadcastOffset o = s.reduced.at(row);
    total +=
        f(wide(a[start.a]), wide(b[start.b + o.b + column * s.inner.b]), wide(c[start.y + o.y + column]));
    row += rows_on;
    column += columns_on;
    if (column >= n) column -= n, ++row;
  }
  const double sum = threads == warp_size ? warp_sum(static_cast<double>(total))
                                          : block_sum(static_cast<double>(total), scratch);
  if (threadIdx.x == 0) {
    if (parts > 1)
      result.partial[unit_part] = static_cast<A>(sum);
    else
      result.put(unit, sum);
  }
}

/// y (units, width) from partial (units, parts, width); threads along y take every blockDim.y-th part.
template <class T>
__global__ void add_parts_kernel(SumResult<T> result, Index units, Index parts, Index width) {
  __shared__ double shared[block_threads];
  const unsigned slot = threadIdx.y * blockDim.x + threadIdx.x;
  const Index i = first_item();
  double total = 0;
  if (i < units * width) {
    const accum_t<T>* const from = result.partial + i / width * parts * width + i % width;
    GRAM_UNROLL_BY(8)
    for (Index part = threadIdx.y; part < parts; part += blockDim.y)
      total += static_cast<double>(from[part * width]);
  }
  shared[slot] = total;
  __syncthreads();
  if (threadIdx.y == 0 && i < units * width) {
    for (unsigned k = 1; k < blockDim.y; ++k) total += shared[slot + k * blockDim.x];
    result.put(i, total);
  }
}

/// y (units, width) [+]= scale * sum of f(a, b, c), where y lies as a does. Reads what f uses once; partial
/// sums are at most a few hundred for each block of columns.
template <class T, class F>
void strided_sum(Cuda device, F f, const SumShape& s, const T* a, const T* b, const T* c, T* y, bool add,
                 double scale) {
  using kernels::BroadcastAxis;
  constexpr Index most_blocks = 528;  // four for each multiprocessor of an H200, whatever the device is
  constexpr int packed = pack_size<T>;
  const Index units = s.kept.size(), width = s.width(), terms = s.terms();
  if (units * width == 0) return;

  const auto fits = [&](const T* x, Index step, Index BroadcastAxis::*stride) {
    return step == 0 || (packable(x, s.kept, stride) && packable(x, s.reduced, stride));
  };
  const bool packs = s.keeps_inner() && width % packed == 0 && fits(a, 1, &BroadcastAxis::a) &&
                     fits(b, s.inner.b, &BroadcastAxis::b) && fits(c, 1, &BroadcastAxis::y);
  const Index items = packs ? width / packed : width;
  const unsigned across = covering_power(items, warp_size), down = block_threads / across;
  const bool by_warps = !s.keeps_inner() && (terms <= 1024 || units >= most_blocks * 8);
  const Index blocks = s.keeps_inner() ? units * ceil_div(items, across) : units;
  const Index least = s.keeps_inner() ? 8 * Index{down} : by_warps ? terms : 4096;  // terms of a part
  const Index wanted = ceil_div(terms, least < 1 ? 1 : least), room = ceil_div(most_blocks, blocks);
  Index parts = wanted < room ? wanted : room;
  const Index high = ceil_div(terms < 1 ? 1 : terms, parts < 1 ? 1 : parts);
  parts = terms < 1 ? 1 : ceil_div(terms, high);

  DeviceScratch<accum_t<T>> partial(device, parts > 1 ? units * parts * width : 0);
  const SumResult<T> result{partial.data(), y, add, scale};
  if (s.keeps_inner()) {
    const dim3 grid(static_cast<unsigned>(ceil_div(items, across)), static_cast<unsigned>(parts),
                    static_cast<unsigned>(units < 65535 ? units : 65535));
    launch(device, packs ? sum_columns_kernel<T, packed, F> : sum_columns_kernel<T, 1, F>, grid,
           dim3(across, down), 0, f, s, a, b, c, result, high);
  } else if (by_warps) {
    launch(device, sum_terms_kernel<T, warp_size, F>,
           static_cast<unsigned>(ceil_div(units * parts, block_threads / warp_size)),
           dim3(warp_size, block_threads / warp_size), 0, f, s, a, b, c, result, parts, high);
  } else {
    launch(device, sum_terms_kernel<T, block_threads, F>, static_cast<unsigned>(units * parts),
           dim3(block_threads), 0, f, s, a, b, c, result, parts, high);
  }
  if (parts > 1)
    launch(device, add_parts_kernel<T>, static_cast<unsigned>(ceil_div(units * width, warp_size)),
           dim3(warp_size, block_threads / warp_size), 0, result, units, parts, width);
}

}  // namespace gram::cuda
