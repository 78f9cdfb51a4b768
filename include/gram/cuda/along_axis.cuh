// SPDX-License-Identifier: MIT
// What is done along n of an AxisView: one thread, a warp or a block works on all n elements of one (outer,
// inner) position. The elements are read again for every pass, from the caches.
#pragma once
#include <cmath>

#include "gram/cuda/context.cuh"
#include "gram/kernels/axis_view.hpp"

namespace gram::cuda {

/// The elements that `threads` threads work on together: x[at(r)] for r = lane, lane + threads, ..
template <int threads>
struct Along {
  Index number, base, stride, n;
  int lane;

  static_assert(threads == 1 || threads == warp_size || threads == block_threads);

  GRAM_DEVICE explicit Along(const AxisView& v)
      : number(static_cast<Index>(blockIdx.x) * blockDim.y + threadIdx.y),
        base(number / v.inner * v.n * v.inner + number % v.inner),
        stride(v.inner),
        n(v.n),
        lane(threads == 1 ? 0 : static_cast<int>(threadIdx.x)) {}
  /// False for the threads, whole warps or single ones, that have nothing to do.
  GRAM_DEVICE bool inside(const AxisView& v) const { return number < v.outer * v.inner; }
  GRAM_DEVICE Index at(Index r) const { return base + r * stride; }

  /// Over all threads of the group, the same bits in each of them.
  template <class A>
  GRAM_DEVICE static A sum(A value) {
    if constexpr (threads == block_threads) {
      __shared__ A scratch[warp_size];
      return block_sum(value, scratch);
    }
    return threads == 1 ? value : warp_sum(value);
  }
  template <class A>
  GRAM_DEVICE static A max(A value) {
    if constexpr (threads == block_threads) {
      __shared__ A scratch[warp_size];
      return block_max(value, scratch);
    }
    return threads == 1 ? value : warp_max(value);
  }
};

/// Launches one of three instances of a kernel over all positions of v: neighbouring columns belong to
/// neighbouring threads, contiguous rows to warps, long ones, and few ones, to blocks.
template <class... Parameters, class... Arguments>
void launch_along(Cuda device, const AxisView& v, void (*single)(Parameters...), void (*warp)(Parameters...),
                  void (*block)(Parameters...), Arguments... arguments) {
  const Index count = v.outer * v.inner;
  const auto blocks = [&](Index groups) { return static_cast<unsigned>(ceil_div(count, groups)); };
  if (v.inner > 1 || v.n <= 8)
    launch(device, single, blocks(block_threads), dim3(1, block_threads), 0, arguments...);
  else if (v.n <= 256 || (v.n <= 1024 && count >= 2048))
    launch(device, warp, blocks(block_threads / warp_size), dim3(warp_size, block_threads / warp_size), 0,
           arguments...);
  else
    launch(device, block, blocks(1), dim3(block_threads), 0, arguments...);
}

/// log sum exp(x) = top + log_sum. Kept apart: x - top is exact near the top, however large x is.
template <class A>
struct Normaliser {
  A top, log_sum, sum;
};
/// Of value(0), .., value(n - 1), by all threads of the group.
template <class A, int threads, class F>
GRAM_DEVICE Normaliser<A> normaliser(const Along<threads>& along, const F& value) {
  A top = -static_cast<A>(HUGE_VAL), sum = 0;
  GRAM_UNROLL_BY(4)
  for (Index r = along.lane; r < along.n; r += threads) {
    const A x = value(r);
    top = x > top || x != x ? x : top;
  }
  top = along.max(top);
  GRAM_UNROLL_BY(4)
  for (Index r = along.lane; r < along.n; r += threads) sum += std::exp(value(r) - top);
  sum = along.sum(sum);
  return {top, std::log(sum), sum};
}
/// The elements of x along n.
template <class T, int threads>
struct Elements {
  const Along<threads>& along;
  const T* x;
  GRAM_DEVICE accum_t<T> operator()(Index r) const { return wide(x[along.at(r)]); }
};

/// y [+]= value
template <class T>
GRAM_DEVICE void put(T& y, accum_t<T> value, bool add) {
  y = narrow<T>(add ? wide(y) + value : value);
}

}  // namespace gram::cuda
