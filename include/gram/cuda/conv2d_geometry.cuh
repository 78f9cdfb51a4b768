// SPDX-License-Identifier: MIT
// What the kernels of convolutions share: sizes in 32 bits, what becomes of a finished sum, and sums of
// parts.
#pragma once
#include <cmath>

#include "gram/cuda/context.cuh"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

/// Sizes of a convolution as kernels use them: 64-bit divisions are slow on a GPU, and no extent needs them.
struct ConvGeometry {
  explicit constexpr ConvGeometry(const Conv2dShape& s)
      : h(static_cast<int>(s.h)),
        w(static_cast<int>(s.w)),
        c(static_cast<int>(s.c)),
        o(static_cast<int>(s.o)),
        kh(static_cast<int>(s.kh)),
        kw(static_cast<int>(s.kw)),
        out_h(static_cast<int>(s.out_h())),
        out_w(static_cast<int>(s.out_w())),
        stride_h(static_cast<int>(s.stride.h)),
        stride_w(static_cast<int>(s.stride.w)),
        padding_h(static_cast<int>(s.padding.h)),
        padding_w(static_cast<int>(s.padding.w)),
        dilation_h(static_cast<int>(s.dilation.h)),
        dilation_w(static_cast<int>(s.dilation.w)),
        group_in(static_cast<int>(s.group_in())),
        group_out(static_cast<int>(s.group_out())) {}

  int h, w, c, o, kh, kw, out_h, out_w;
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int group_in, group_out;
};

/// The element of y at `position`, of an output channel, from its sum.
template <class T>
GRAM_DEVICE T finished(const Conv2dEpilogue<T>& epilogue, accum_t<T> sum, Index position, Index channel) {
  using A = accum_t<T>;
  if (epilogue.bias) sum += wide(epilogue.bias[channel]);
  if (epilogue.residual) sum += wide(epilogue.residual[position]);
  if (epilogue.relu) sum = sum < 0 ? A(0) : sum;
  if (epilogue.gelu) sum = A(0.5) * sum * std::erfc(-sum * A(0.70710678118654752440));
  return narrow<T>(sum);
}

inline constexpr int part_columns = 32, part_rows = 8;

/// sum[column rows + row] (+)= the sum of partial[part][row][column] over parts: eight threads an element.
template <class T>
__global__ void sum_parts_kernel(const accum_t<T>* partial, Index parts, Index rows, Index columns, T* sum,
                                 bool add) {
  using A = accum_t<T>;
  __shared__ A totals[part_rows][part_columns];
  const Index size = rows * columns, i = static_cast<Index>(blockIdx.x) * part_columns + threadIdx.x;
  A total = 0;
  if (i < size)
    for (Index part = threadIdx.y; part < parts; part += part_rows) total += partial[part * size + i];
  totals[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || i >= size) return;
  for (int row = 1; row < part_rows; ++row) total += totals[row][threadIdx.x];
  T& to = sum[i % columns * rows + i / columns];
  to = narrow<T>(add ? wide(to) + total : total);
}
template <class T>
void sum_parts(Cuda device, const accum_t<T>* partial, Index parts, Index rows, Index columns, T* sum,
               bool add) {
  launch(device, sum_parts_kernel<T>, static_cast<unsigned>(ceil_div(rows * columns, Index{part_columns})),
         dim3(part_columns, part_rows), 0, partial, parts, rows, columns, sum, add);
}

}  // namespace gram::cuda
