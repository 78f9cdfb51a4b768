// SPDX-License-Identifier: MIT
// What class attention does between its products: rows of C channels that are normalised, weighted, mixed and
// summed. Rows of classifiers lie image strides and classifier strides apart; the parameters of classifiers
// are pointers in tables that kernels get by value.
#pragma once
#include "gram/cuda/class_attention.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

/// Pointers of up to 64 classifiers.
template <class A>
struct ClassTable {
  static constexpr Index most = 64;
  const A *first[most], *second[most];
};

/// f(first classifier, how many) for as many at a time as tables hold.
template <class F>
void for_classifiers(Index classifiers, F&& f) {
  for (Index m = 0; m < classifiers; m += ClassTable<float>::most)
    f(m, std::min(classifiers - m, ClassTable<float>::most));
}

/// Rows (image, classifier, one of `per`) of C channels.
struct ClassRows {
  Index image, classifier, per;
  constexpr Index at(Index n, Index m, Index h, Index C) const { return n * image + m * classifier + h * C; }
};

inline constexpr unsigned class_rows_per_block = 8;  // one for each warp
inline dim3 class_warps() { return {warp_size, class_rows_per_block}; }
inline unsigned class_blocks(Index rows) {
  return static_cast<unsigned>(ceil_div(rows, class_rows_per_block));
}
GRAM_DEVICE Index class_row() { return static_cast<Index>(blockIdx.x) * class_rows_per_block + threadIdx.y; }

/// hat = (x - mean) rstd of each row, rstd = 1 / sqrt(variance + epsilon); `each` rows from every pointer.
/// Reads x once from memory and writes hat.
template <class A>
__global__ void class_normalise_kernel(Index rows, Index each, Index C, A epsilon, ClassTable<A> x, A* hat,
                                       A* rstd) {
  const Index row = class_row();
  if (row >= rows) return;  // the whole warp
  const A* const from = x.first[row / each] + row % each * C;
  A sum = 0, squares = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) sum += from[c];
  const A mean = warp_sum(sum) / static_cast<A>(C);
  for (Index c = threadIdx.x; c < C; c += warp_size) squares += (from[c] - mean) * (from[c] - mean);
  const A factor = 1 / std::sqrt(warp_sum(squares) / static_cast<A>(C) + epsilon);
  for (Index c = threadIdx.x; c < C; c += warp_size) hat[row * C + c] = (from[c] - mean) * factor;
  if (threadIdx.x == 0) rstd[row] = factor;
}

/// dx = rstd (dhat - mean(dhat) - hat mean(dhat hat)), added to dx on request; dhat is a sum of two where
/// there is a second one.
template <class A>
__global__ void class_normalise_grad_kernel(Index rows, Index C, const A* hat, const A* rstd, const A* dhat,
                                            const A* second, A* dx, bool add) {
  const Index row = class_row();
  if (row >= rows) return;
  hat += row * C, dhat += row * C, dx += row * C;
  if (second) second += row * C;
  A sum = 0, dots = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) {
    const A d = second ? dhat[c] + second[c] : dhat[c];
    sum += d;
    dots += d * hat[c];
  }
  const A mean = warp_sum(sum) / static_cast<A>(C), slope = warp_sum(dots) / static_cast<A>(C);
  for (Index c = threadIdx.x; c < C; c += warp_size) {
    const A d = ((second ? dhat[c] + second[c] : dhat[c]) - mean - hat[c] * slope) * rstd[row];
    dx[c] = add ? dx[c] + d : d;
  }
}

/// y = g x + b for rows of classifiers; first[m] is g, second[m] is b, where `shifted`. With the weights
/// `class_weight` (images, rows, ld) of class tokens x becomes x + weight hat(c) before, and is written to
/// `mixed`, which may be x.
template <class A>
__global__ void class_affine_kernel(Index images, Index classifiers, Index C, ClassTable<A> table,
                                    bool shifted, const A* x, ClassRows from, const A* class_weight, Index ld,
                                    Index weight_image, const A* hat_c, A* mixed, A* y, ClassRows to) {
  const Index row = blockIdx.x, h = row % from.per, m = row / from.per % classifiers,
              n = row / from.per / classifiers;
  const Index x_row = from.at(n, m, h, C), y_row = to.at(n, m, h, C);
  const A *const g = table.first[m], *const b = table.second[m];
  const A weight = class_weight ? class_weight[n * weight_image + (m * from.per + h) * ld] : A(0);
  for (Index c = threadIdx.x; c < C; c += blockDim.x) {
    A value = x[x_row + c];
    if (class_weight) {
      value += weight * hat_c[(m * images + n) * C + c];
      mixed[x_row + c] = value;
    }
    y[y_row + c] = g[c] * value + (shifted ? b[c] : A(0));
  }
}

/// Gradients of y = g x + b: dy <- g dy and, for each of `parts` parts of the rows (image, one of per),
///     dg (parts, classifiers, C) = sum dy x,   db = sum dy.
/// Reads x and dy once, writes dy once.
template <class A>
__global__ void class_affine_grad_kernel(Index images, Index classifiers, Index C, ClassTable<A> table,
                                         const A* x, ClassRows from, A* dy, ClassRows at, A* dg, A* db) {
  __shared__ A sums[2][class_rows_per_block][warp_size];
  const Index c = static_cast<Index>(blockIdx.x) * warp_size + threadIdx.x, m = blockIdx.y, part = blockIdx.z;
  const Index rows = images * from.per, each = ceil_div(rows, gridDim.z),
              end = rows < (part + 1) * each ? rows : (part + 1) * each;
  A of_g = 0, of_b = 0;
  for (Index i = part * each + threadIdx.y; i < end && c < C; i += class_rows_per_block) {
    const Index n = i / from.per, h = i % from.per;
    A* const d = dy + at.at(n, m, h, C) + c;
    of_g += *d * x[from.at(n, m, h, C) + c];
    of_b += *d;
    *d *= table.first[m][c];
  }
  sums[0][threadIdx.y][threadIdx.x] = of_g;
  sums[1][threadIdx.y][threadIdx.x] = of_b;
  __syncthreads();
  if (threadIdx.y > 1 || c >= C) return;
  A total = 0;
  for (unsigned i = 0; i < class_rows_per_block; ++i) total += sums[threadIdx.y][i][threadIdx.x];
  (threadIdx.y ? db : dg)[(part * classifiers + m) * C + c] = total;
}

/// y (columns) = sum of the rows of x (rows, columns), added to y on request.
template <class A>
__global__ void class_sums_kernel(Index rows, Index columns, const A* x, A* y, bool add) {
  __shared__ A sums[class_rows_per_block][warp_size];
  const Index c = static_cast<Index>(blockIdx.x) * warp_size + threadIdx.x;
  A sum = 0;
  for (Index i = threadIdx.y; i < rows && c < columns; i += class_rows_per_block) sum += x[i * columns + c];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || c >= columns) return;
  A total = add ? y[c] : A(0);
  for (unsigned i = 0; i < class_rows_per_block; ++i) total += sums[i][threadIdx.x];
  y[c] = total;
}
template <class A>
void class_sums(Cuda device, Index rows, Index columns, const A* x, GradientSink<A> to) {
  if (to.data)
    launch(device, class_sums_kernel<A>, static_cast<unsigned>(ceil_div(columns, warp_size)), class_warps(),
           0, rows, columns, x, to.data, to.add);
}

template <class A>
__global__ void class_scale_kernel(A* x, A factor, Index n) {
  for (Index i = first_item(); i < n; i += item_step()) x[i] *= factor;
}

/// a (N, R, ld) = soft-max over the scores of L tokens, as they lie in a, and of the class token, p hat(c);
/// zeros behind. A warp for each row.
template <class A>
__global__ void class_softmax_kernel(kernels::ClassAttentionShape s, const A* p, const A* hat_c, A* a) {
  const Index row = class_row(), R = s.rows(), L = s.tokens, C = s.channels, ld = s.ld();
  if (row >= s.images * R) return;
  const Index n = row / R, m = row % R / s.heads;
  a += row * ld, p += row * C, hat_c += (m * s.images + n) * C;
  A dot = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) dot += p[c] * hat_c[c];
  const A own = warp_sum(dot);
  A largest = own;
  for (Index l = threadIdx.x; l < L; l += warp_size)
    largest = a[l] > largest || a[l] != a[l] ? a[l] : largest;
  largest = warp_max(largest);
  A sum = 0;
  for (Index l = threadIdx.x; l < ld; l += warp_size) {
    const A e = l < L ? std::exp(a[l] - largest) : l == L ? std::exp(own - largest) : A(0);
    a[l] = e;
    sum += e;
  }
  const A inverse = 1 / warp_sum(sum);
  for (Index l = threadIdx.x; l <= L; l += warp_size) a[l] *= inverse;
}

/// Into left = [a; ds] (N, 2 R, ld): a, and ds <- a (ds - sum a ds), whose entry of the class token is dz
/// hat(c) before; dz lies in [dz; p] (N, 2 R, C). A warp for each row.
template <class A>
__global__ void class_softmax_grad_kernel(kernels::ClassAttentionShape s, const A* a, const A* dz,
                                          const A* hat_c, A* left) {
  const Index row = class_row(), R = s.rows(), L = s.tokens, C = s.channels, ld = s.ld();
  if (row >= s.images * R) return;
  const Index n = row / R, r = row % R, m = r / s.heads;
  a += row * ld, dz += (n * 2 * R + r) * C, hat_c += (m * s.images + n) * C;
  A *const a_copy = left + (n * 2 * R + r) * ld, *const ds = a_copy + R * ld;
  A dot = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) dot += dz[c] * hat_c[c];
  const A own = warp_sum(dot);
  A mean = 0;
  for (Index l = threadIdx.x; l <= L; l += warp_size) mean += a[l] * (l < L ? ds[l] : own);
  mean = warp_sum(mean);
  for (Index l = threadIdx.x; l < ld; l += warp_size) {
    ds[l] = l <= L ? a[l] * ((l < L ? ds[l] : own) - mean) : A(0);
    a_copy[l] = a[l];
  }
}

/// The class token's part of the gradients: dp += ds_c hat(c), and that of hat(c), (M, N, C) = sum over heads
/// of a_c dz + ds_c p. A block for each image and classifier.
template <class A>
__global__ void class_token_grad_kernel(kernels::ClassAttentionShape s, const A* left, const A* right,
                                        const A* hat_c, A* dp, A* hat_c_grad) {
  const Index n = blockIdx.x / s.classifiers, m = blockIdx.x % s.classifiers, R = s.rows(), C = s.channels,
              ld = s.ld(), of_c = (m * s.images + n) * C;
  for (Index c = threadIdx.x; c < C; c += blockDim.x) {
    const A hat = hat_c[of_c + c];
    A sum = 0;
    for (Index r = m * s.heads; r < (m + 1) * s.heads; ++r) {
      const Index row = n * 2 * R + r;
      const A a_c = left[row * ld + s.tokens], ds_c = left[(row + R) * ld + s.tokens];
      dp[(n * R + r) * C + c] += ds_c * hat;
      sum += a_c * right[row * C + c] + ds_c * right[(row + R) * C + c];
    }
    hat_c_grad[of_c + c] = sum;
  }
}

}  // namespace gram::cuda
