// SPDX-License-Identifier: MIT
// Convolutions of all options by one kernel: a tile of the result for each block, the factors brought to
// shared memory in slices. For what no library takes (double, odd shapes), and what the others are held
// against. Of each slice an element is read once by a block.
#pragma once
#include "gram/cuda/conv2d_operands.cuh"

namespace gram::cuda {

/// Side of a tile, depth of a slice, and elements of either side that a thread has.
inline constexpr int conv_tile = 64, conv_slice = 16, conv_thread_tile = 4;

struct ConvProduct {
  Index groups, rows, columns, depth;
  Index parts = 1, part_depth = 0;  ///< the depth is cut into parts

  constexpr Index row_tiles() const { return ceil_div(rows, Index{conv_tile}); }
  constexpr Index column_tiles() const { return ceil_div(columns, Index{conv_tile}); }
  constexpr Index blocks() const { return parts * groups * row_tiles() * column_tiles(); }
};

/// Brings slices of a factor to shared memory, [depth][row], zero beyond the ends. 256 threads, four elements
/// each: of one depth, or of one row. Rows are taken apart once for all slices.
template <class A, class Factor>
class SliceLoader {
 public:
  GRAM_DEVICE SliceLoader(const Factor& factor, Index group, Index first_row, Index rows)
      : factor_(factor), group_(group), rows_left_(rows - first_row) {
    GRAM_UNROLL
    for (int i = 0; i < rows_of_thread; ++i) rows_[i] = factor_.row(group, first_row + row(i));
  }

  GRAM_DEVICE void load(Index first, Index end, A (&slice)[conv_slice][conv_tile]) const {
    GRAM_UNROLL
    for (int j = 0; j < depths_of_thread; ++j) {
      const int k = depth(j);
      const auto at = factor_.depth(group_, first + k);
      GRAM_UNROLL
      for (int i = 0; i < rows_of_thread; ++i) {
        const bool inside = row(i) < rows_left_ && first + k < end;
        slice[k][row(i)] = inside ? factor_.load(group_, rows_[i], at) : A(0);
      }
    }
  }

 private:
  static constexpr int elements = conv_slice * conv_tile / block_threads;
  static constexpr int rows_of_thread = Factor::along_depth ? elements : 1,
                       depths_of_thread = Factor::along_depth ? 1 : elements;

  static GRAM_DEVICE int row(int i) {
    const int t = static_cast<int>(threadIdx.x);
    return Factor::along_depth ? t / conv_slice + i * (block_threads / conv_slice) : t % conv_tile;
  }
  static GRAM_DEVICE int depth(int j) {
    const int t = static_cast<int>(threadIdx.x);
    return Factor::along_depth ? t % conv_slice : t / conv_tile + j * (block_threads / conv_tile);
  }

  const Factor& factor_;
  Index group_, rows_left_;
  typename Factor::Row rows_[rows_of_thread];
};

/// result.store(part, group, row, column, sum over the depth of left x right).
template <class A, class Left, class Right, class Result>
__global__ void __launch_bounds__(block_threads)
    conv_product_kernel(ConvProduct p, Left left, Right right, Result result) {
  __shared__ A a[conv_slice][conv_tile], b[conv_slice][conv_tile];
  Index block = blockIdx.x;
  const Index first_row = block % p.row_tiles() * conv_tile;
  block /= p.row_tiles();
  const Index first_column = block % p.column_tiles() * conv_tile;
  block /= p.column_tiles();
  const Index group = block % p.groups, part = block / p.groups;
  const Index begin = part * p.part_depth,
              end = p.depth < begin + p.part_depth ? p.depth : begin + p.part_depth;

  constexpr int side = conv_thread_tile, threads = conv_tile / side;
  const int row = static_cast<int>(threadIdx.x) / threads, column = static_cast<int>(threadIdx.x) % threads;
  const SliceLoader<A, Left> left_slices(left, group, first_row, p.rows);
  const SliceLoader<A, Right> right_slices(right, group, first_column, p.columns);
  A sum[side][side] = {};
  for (Index k = begin; k < end; k += conv_slice) {
    left_slices.load(k, end, a);
    right_slices.load(k, end, b);
    __syncthreads();
    GRAM_UNROLL
    for (int d = 0; d < conv_slice; ++d) GRAM_UNROLL
    for (int i = 0; i < side; ++i) GRAM_UNROLL
    for (int j = 0; j < side; ++j) sum[i][j] += a[d][row + i * threads] * b[d][column + j * threads];
    __syncthreads();
  }
  GRAM_UNROLL
  for (int i = 0; i < side; ++i) GRAM_UNROLL
  for (int j = 0; j < side; ++j) {
    const Index r = first_row + row + i * threads, c = first_column + column + j * threads;
    if (r < p.rows && c < p.columns) result.store(part, group, r, c, sum[i][j]);
  }
}
template <class A, class Left, class Right, class Result>
void conv_product(Cuda device, ConvProduct p, const Left& left, const Right& right, const Result& result) {
  p.part_depth = round_up(ceil_div(p.depth, p.parts), Index{conv_slice});
  launch(device, conv_product_kernel<A, Left, Right, Result>, static_cast<unsigned>(p.blocks()),
         block_threads, 0, p, left, right, result);
}

template <class T>
struct ConvOutput {
  ConvGeometry g;
  Conv2dEpilogue<T> epilogue;
  T* y;
  GRAM_DEVICE void store(Index, Index group, Index pixel, Index o, accum_t<T> sum) const {
    const Index channel = group * g.group_out + o, at = pixel * g.o + channel;
    y[at] = finished(epilogue, sum, at, channel);
  }
};
template <class T>
struct ConvInputGradient {
  ConvGeometry g;
  T* dx;
  bool add;
  GRAM_DEVICE void store(Index, Index group, Index pixel, Index c, accum_t<T> sum) const {
    T& to = dx[pixel * g.c + group * g.group_in + c];
    to = narrow<T>(add ? wide(to) + sum : sum);
  }
};
template <class A>
struct ConvWeightParts {
  ConvGeometry g;
  A* partial;  // (parts, O, Kh Kw C/G)
  GRAM_DEVICE void store(Index part, Index group, Index o, Index k, A sum) const {
    const Index row = Index{g.kh} * g.kw * g.group_in;
    partial[(part * g.o + group * g.group_out + o) * row + k] = sum;
  }
};

/// y = epilogue(convolution of x).
template <class T>
void direct_conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
                   const Conv2dEpilogue<T>& epilogue, T* y) {
  const ConvGeometry g(s);
  const ConvProduct product{s.groups, s.n * s.out_h() * s.out_w(), s.group_out(), s.taps() * s.group_in()};
  conv_product<accum_t<T>>(device, product, Patches<T>{g, x}, WeightRows<T>{g, weight},
                           ConvOutput<T>{g, epilogue, y});
}

/// dx (+)= the gradient of the input: every pixel gathers what it gave.
template <class T>
void direct_conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx,
                              bool add) {
  const ConvGeometry g(s);
  const ConvProduct product{s.groups, s.n * s.h * s.w, s.group_in(), s.taps() * s.group_out()};
  conv_product<accum_t<T>>(device, product, GradientPatches<T>{g, dy}, WeightColumns<T>{g, weight},
                           ConvInputGradient<T>{g, dx, add});
}

/// dw (+)= the gradient of the weight: pixels in parts that depend on the shape alone, added in order.
template <class T>
void direct_conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  const ConvGeometry g(s);
  const Index pixels = s.n * s.out_h() * s.out_w();
  ConvProduct product{s.groups, s.group_out(), s.taps() * s.group_in(), pixels};
  constexpr Index blocks_wanted = 132 * 4, least_pixels = 256;
  product.parts =
      std::max<Index>(1, std::min(blocks_wanted / product.blocks(), ceil_div(pixels, least_pixels)));
  DeviceScratch<accum_t<T>> partial(device, product.parts * s.weight_size());
  conv_product<accum_t<T>>(device, product, GradientColumns<T>{g, dy}, PatchColumns<T>{Patches<T>{g, x}},
                           ConvWeightParts<accum_t<T>>{g, partial.data()});
  sum_parts(device, partial.data(), product.parts, 1, s.weight_size(), dw, add);
}

}  // namespace gram::cuda
