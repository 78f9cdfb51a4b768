// SPDX-License-Identifier: MIT
// What class attention does between its products: rows of C channels that are normalised, weighted, mixed and
// summed. Rows of classifiers lie image strides and classifier strides apart; the parameters of classifiers
// are pointers in tables that kernels get by value.
#pragma once
#include "gram/cuda/class_attention.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

inline constexpr Index most_classifiers = 64;  // of a table

template <class T>
struct ClassTable {
  const T *first[most_classifiers], *second[most_classifiers];
};
template <class T>
struct ClassSinkTable {
  GradientSink<T> to[most_classifiers];
};

/// f(first classifier, how many) for as many at a time as tables hold.
template <class F>
void for_classifiers(Index classifiers, F&& f) {
  for (Index m = 0; m < classifiers; m += most_classifiers) f(m, std::min(classifiers - m, most_classifiers));
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

template <class T>
GRAM_DEVICE void deliver(const GradientSink<T>& to, Index at, accum_t<T> value) {
  to.data[at] = narrow<T>(to.add ? wide(to.data[at]) + value : value);
}

/// hat = (x - mean) rstd of each class token, rstd = 1 / sqrt(variance + epsilon); `each` rows from every
/// pointer.
template <class T>
__global__ void class_normalise_kernel(Index rows, Index each, Index C, accum_t<T> epsilon, ClassTable<T> x,
                                       T* hat, accum_t<T>* rstd) {
  using A = accum_t<T>;
  const Index row = class_row();
  if (row >= rows) return;  // the whole warp
  const T* const from = x.first[row / each] + row % each * C;
  A sum = 0, squares = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) sum += wide(from[c]);
  const A mean = warp_sum(sum) / static_cast<A>(C);
  for (Index c = threadIdx.x; c < C; c += warp_size)
    squares += (wide(from[c]) - mean) * (wide(from[c]) - mean);
  const A factor = 1 / std::sqrt(warp_sum(squares) / static_cast<A>(C) + epsilon);
  for (Index c = threadIdx.x; c < C; c += warp_size)
    hat[row * C + c] = narrow<T>((wide(from[c]) - mean) * factor);
  if (threadIdx.x == 0) rstd[row] = factor;
}

/// Gradients of class tokens: dx = rstd (dhat - mean(dhat) - hat mean(dhat hat)), where dhat (M, N, C) is a
/// sum of two. A warp does row n of all classifiers in turn, as some may share their token.
template <class T>
__global__ void class_normalise_grad_kernel(Index images, Index classifiers, Index C, const T* hat,
                                            const accum_t<T>* rstd, const T* dhat, const T* second,
                                            ClassSinkTable<T> dx) {
  using A = accum_t<T>;
  const Index n = class_row();
  if (n >= images) return;
  for (Index m = 0; m < classifiers; ++m) {
    if (!dx.to[m]) continue;
    const Index row = m * images + n, first = row * C;
    A sum = 0, dots = 0;
    for (Index c = threadIdx.x; c < C; c += warp_size) {
      const A d = wide(dhat[first + c]) + wide(second[first + c]);
      sum += d;
      dots += d * wide(hat[first + c]);
    }
    const A mean = warp_sum(sum) / static_cast<A>(C), slope = warp_sum(dots) / static_cast<A>(C);
    for (Index c = threadIdx.x; c < C; c += warp_size) {
      const A d = wide(dhat[first + c]) + wide(second[first + c]);
      deliver(dx.to[m], n * C + c, (d - mean - wide(hat[first + c]) * slope) * rstd[row]);
    }
  }
}

/// y = factor g x + b for rows of classifiers; first[m] is g, second[m] is b, where `shifted`. With the
/// weights `class_weight` (images, rows, ld) of class tokens x becomes x + weight hat(c) before, and is
/// written to `mixed`, which may be x.
template <class T>
__global__ void class_affine_kernel(Index images, Index classifiers, Index C, ClassTable<accum_t<T>> table,
                                    accum_t<T> factor, bool shifted, const T* x, ClassRows from,
                                    const T* class_weight, Index ld, Index weight_image, const T* hat_c,
                                    T* mixed, T* y, ClassRows to) {
  using A = accum_t<T>;
  const Index row = blockIdx.x, h = row % from.per, m = row / from.per % classifiers,
              n = row / from.per / classifiers;
  const Index x_row = from.at(n, m, h, C), y_row = to.at(n, m, h, C);
  const A *const g = table.first[m], *const b = table.second[m];
  const A weight = class_weight ? wide(class_weight[n * weight_image + (m * from.per + h) * ld]) : A(0);
  for (Index c = threadIdx.x; c < C; c += blockDim.x) {
    A value = wide(x[x_row + c]);
    if (class_weight) {
      value += weight * wide(hat_c[(m * images + n) * C + c]);
      mixed[x_row + c] = narrow<T>(value);
    }
    y[y_row + c] = narrow<T>(factor * g[c] * value + (shifted ? b[c] : A(0)));
  }
}

/// Gradients of y = factor g x + b: dy <- factor g dy and, for each of `parts` parts of the rows (image, one
/// of per),
///     dg (parts, classifiers, C) = factor sum dy x,   db = sum dy.
/// Reads x and dy once, writes dy once.
template <class T>
__global__ void class_affine_grad_kernel(Index images, Index classifiers, Index C,
                                         ClassTable<accum_t<T>> table, accum_t<T> factor, const T* x,
                                         ClassRows from, T* dy, ClassRows at, accum_t<T>* dg,
                                         accum_t<T>* db) {
  using A = accum_t<T>;
  __shared__ A sums[2][class_rows_per_block][warp_size];
  const Index c = static_cast<Index>(blockIdx.x) * warp_size + threadIdx.x, m = blockIdx.y, part = blockIdx.z;
  const Index rows = images * from.per, each = ceil_div(rows, gridDim.z),
              end = rows < (part + 1) * each ? rows : (part + 1) * each;
  A of_g = 0, of_b = 0;
  for (Index i = part * each + threadIdx.y; i < end && c < C; i += class_rows_per_block) {
    const Index n = i / from.per, h = i % from.per;
    T* const to = dy + at.at(n, m, h, C) + c;
    const A d = wide(*to);
    of_g += d * wide(x[from.at(n, m, h, C) + c]);
    of_b += d;
    *to = narrow<T>(factor * table.first[m][c] * d);
  }
  sums[0][threadIdx.y][threadIdx.x] = of_g * factor;
  sums[1][threadIdx.y][threadIdx.x] = of_b;
  __syncthreads();
  if (threadIdx.y > 1 || c >= C) return;
  A total = 0;
  for (unsigned i = 0; i < class_rows_per_block; ++i) total += sums[threadIdx.y][i][threadIdx.x];
  (threadIdx.y ? db : dg)[(part * classifiers + m) * C + c] = total;
}

/// y (columns) = sum of the rows of x (rows, columns), added to y on request.
template <class T>
__global__ void class_sums_kernel(Index rows, Index columns, const T* x, GradientSink<T> y) {
  using A = accum_t<T>;
  __shared__ A sums[class_rows_per_block][warp_size];
  const Index c = static_cast<Index>(blockIdx.x) * warp_size + threadIdx.x;
  A sum = 0;
  for (Index i = threadIdx.y; i < rows && c < columns; i += class_rows_per_block)
    sum += wide(x[i * columns + c]);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || c >= columns) return;
  A total = 0;
  for (unsigned i = 0; i < class_rows_per_block; ++i) total += sums[i][threadIdx.x];
  deliver(y, c, total);
}
template <class T>
void class_sums(Cuda device, Index rows, Index columns, const T* x, GradientSink<T> to) {
  if (to)
    launch(device, class_sums_kernel<T>, static_cast<unsigned>(ceil_div(columns, warp_size)), class_warps(),
           0, rows, columns, x, to);
}

/// Rows m of dg and db (classifiers, C) are gradients of the norm of classifier m; classifiers in turn, as
/// they may share one.
template <class A>
__global__ void class_deliver_kernel(Index classifiers, Index C, const A* dg, const A* db,
                                     ClassSinkTable<A> weight, ClassSinkTable<A> bias) {
  for (Index c = first_item(); c < C; c += item_step())
    for (Index m = 0; m < classifiers; ++m) {
      if (weight.to[m]) deliver(weight.to[m], c, dg[m * C + c]);
      if (bias.to[m]) deliver(bias.to[m], c, db[m * C + c]);
    }
}

/// a (N, R, ld) = soft-max over the `scores` (N, R, ld) of L tokens and that of the class token, p hat(c);
/// zeros behind. A warp for each row.
template <class T>
__global__ void class_softmax_kernel(kernels::ClassAttentionShape s, accum_t<T>* scores, const T* p,
                                     const T* hat_c, T* a) {
  using A = accum_t<T>;
  const Index row = class_row(), R = s.rows(), L = s.tokens, C = s.channels, ld = s.ld();
  if (row >= s.images * R) return;
  const Index n = row / R, m = row % R / s.heads;
  scores += row * ld, a += row * ld, p += row * C, hat_c += (m * s.images + n) * C;
  A dot = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) dot += wide(p[c]) * wide(hat_c[c]);
  const A own = warp_sum(dot);
  A largest = own;
  for (Index l = threadIdx.x; l < L; l += warp_size)
    largest = scores[l] > largest || scores[l] != scores[l] ? scores[l] : largest;
  largest = warp_max(largest);
  A sum = 0;
  for (Index l = threadIdx.x; l < ld; l += warp_size) {
    const A e = l < L ? std::exp(scores[l] - largest) : l == L ? std::exp(own - largest) : A(0);
    scores[l] = e;
    sum += e;
  }
  const A inverse = 1 / warp_sum(sum);
  for (Index l = threadIdx.x; l < ld; l += warp_size) a[l] = narrow<T>(scores[l] * inverse);
}

/// Into left = [a; ds] (N, 2 R, ld): a, and ds = a (da - sum a da), where da (N, R, ld) has L entries of
/// tokens, and that of the class token is dz hat(c); dz lies in [dz; p] (N, 2 R, C). A warp for each row.
template <class T>
__global__ void class_softmax_grad_kernel(kernels::ClassAttentionShape s, const T* a, const accum_t<T>* da,
                                          const T* dz, const T* hat_c, T* left) {
  using A = accum_t<T>;
  const Index row = class_row(), R = s.rows(), L = s.tokens, C = s.channels, ld = s.ld();
  if (row >= s.images * R) return;
  const Index n = row / R, r = row % R, m = r / s.heads;
  a += row * ld, da += row * ld, dz += (n * 2 * R + r) * C, hat_c += (m * s.images + n) * C;
  T *const a_copy = left + (n * 2 * R + r) * ld, *const ds = a_copy + R * ld;
  A dot = 0;
  for (Index c = threadIdx.x; c < C; c += warp_size) dot += wide(dz[c]) * wide(hat_c[c]);
  const A own = warp_sum(dot);
  A mean = 0;
  for (Index l = threadIdx.x; l <= L; l += warp_size) mean += wide(a[l]) * (l < L ? da[l] : own);
  mean = warp_sum(mean);
  for (Index l = threadIdx.x; l < ld; l += warp_size) {
    ds[l] = narrow<T>(l <= L ? wide(a[l]) * ((l < L ? da[l] : own) - mean) : A(0));
    a_copy[l] = a[l];
  }
}

/// The class token's part of the gradients: dp += ds_c hat(c), and that of hat(c), (M, N, C) = sum over heads
/// of a_c dz + ds_c p. A block for each image and classifier.
template <class T>
__global__ void class_token_grad_kernel(kernels::ClassAttentionShape s, const T* left, const T* right,
                                        const T* hat_c, T* dp, T* hat_c_grad) {
  using A = accum_t<T>;
  const Index n = blockIdx.x / s.classifiers, m = blockIdx.x % s.classifiers, R = s.rows(), C = s.channels,
              ld = s.ld(), of_c = (m * s.images + n) * C;
  for (Index c = threadIdx.x; c < C; c += blockDim.x) {
    const A hat = wide(hat_c[of_c + c]);
    A sum = 0;
    for (Index r = m * s.heads; r < (m + 1) * s.heads; ++r) {
      const Index row = n * 2 * R + r;
      const A a_c = wide(left[row * ld + s.tokens]), ds_c = wide(left[(row + R) * ld + s.tokens]);
      T* const to = dp + (n * R + r) * C + c;
      *to = narrow<T>(wide(*to) + ds_c * hat);
      sum += a_c * wide(right[row * C + c]) + ds_c * wide(right[(row + R) * C + c]);
    }
    hat_c_grad[of_c + c] = narrow<T>(sum);
  }
}

}  // namespace gram::cuda
