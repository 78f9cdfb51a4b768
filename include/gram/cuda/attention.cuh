// SPDX-License-Identifier: MIT
// Attention with an online soft-max (arXiv:2205.14135): for a tile of queries the largest score and the sum
// of exponentials of each row are brought up to date with every tile of keys. Reads q once, k and v once for
// 64 queries (mostly from the L2 cache), writes y once.
#pragma once
#include <numbers>

#include "gram/cuda/attention.hpp"
#include "gram/cuda/attention_grad.cuh"
#include "gram/cuda/attention_tile.cuh"
#include "gram/cuda/cudnn_attention.cuh"

namespace gram::cuda {

/// Soft-max of rows that arrive in parts. Scores are base-2 logarithms.
template <class A>
struct OnlineSoftmax {
  A top[attention_part], total[attention_part];  // total: this thread's part

  GRAM_DEVICE OnlineSoftmax() {
    GRAM_UNROLL
    for (int i = 0; i < attention_part; ++i) top[i] = -static_cast<A>(HUGE_VAL), total[i] = 0;
  }

  /// scores <- 2^(factor scores - top), 0 behind the last of `keys`; returns by what earlier parts shrink.
  GRAM_DEVICE void add(AttentionScores<A>& scores, A factor, Index keys, A (&shrink)[attention_part]) {
    GRAM_UNROLL
    for (int i = 0; i < attention_part; ++i) {
      A largest = top[i];
      GRAM_UNROLL
      for (int j = 0; j < attention_part; ++j) {
        A& score = scores[i][j];
        score = tile_column() + j * attention_lanes < keys ? score * factor : -static_cast<A>(HUGE_VAL);
        largest = score > largest || score != score ? score : largest;
      }
      largest = row_max(largest);
      shrink[i] = std::exp2(top[i] - largest);
      top[i] = largest;
      total[i] *= shrink[i];
      GRAM_UNROLL
      for (int j = 0; j < attention_part; ++j) {
        scores[i][j] = std::exp2(scores[i][j] - largest);
        total[i] += scores[i][j];
      }
    }
  }
};

template <class T, int D>
__global__ void __launch_bounds__(block_threads)
    attention_kernel(kernels::AttentionShape s, Index chunks, const T* q, const T* k, const T* v, T* y,
                     accum_t<T>* lse) {
  using A = accum_t<T>;
  A* const shared = dynamic_shared<A>();
  const AttentionPlace at = attention_place(s.heads, s.queries, chunks);
  const Index rows = s.queries - at.first, row0 = at.image * s.queries + at.first;
  q += row0 * s.query_stride + at.head * s.width;
  k += at.image * s.keys * s.key_stride + at.head * s.width;
  v += at.image * s.keys * s.value_stride + at.head * s.value_width + at.chunk * D;

  OnlineSoftmax<A> softmax;
  A sums[attention_part][D / attention_lanes] = {};
  for (Index key = 0; key < s.keys; key += attention_tile) {
    AttentionScores<A> p;
    A shrink[attention_part];
    score_tile(q, s.query_stride, rows, k + key * s.key_stride, s.key_stride, s.keys - key, s.width, shared,
               p);
    softmax.add(p, static_cast<A>(s.scale * attention_log2e), s.keys - key, shrink);
    GRAM_UNROLL
    for (int i = 0; i < attention_part; ++i) {
      GRAM_UNROLL
      for (int j = 0; j < D / attention_lanes; ++j) sums[i][j] *= shrink[i];
    }
    share_weights<false>(p, shared);
    mix_rows<D>(v + key * s.value_stride, s.value_stride, s.keys - key, s.value_width - at.chunk * D, shared,
                sums);
  }

  GRAM_UNROLL
  for (int i = 0; i < attention_part; ++i) {
    const A total = row_sum(softmax.total[i]);
    const int row = tile_row() + i * attention_lanes;
    if (at.chunk == 0 && tile_column() == 0 && row < rows)
      lse[(at.image * s.heads + at.head) * s.queries + at.first + row] = softmax.top[i] + std::log2(total);
    GRAM_UNROLL
    for (int j = 0; j < D / attention_lanes; ++j) sums[i][j] /= total;
  }
  const Index ldy = s.heads * s.value_width;
  store_rows<D>(sums, A(1), y + row0 * ldy + at.head * s.value_width + at.chunk * D, ldy, rows,
                s.value_width - at.chunk * D, false);
}

/// The map itself: one round over the keys for the sums, and another one for the map.
template <class T>
__global__ void __launch_bounds__(block_threads, 2)
    attention_map_kernel(kernels::AttentionShape s, const T* q, const T* k, T* map) {
  using A = accum_t<T>;
  A* const shared = dynamic_shared<A>();
  const AttentionPlace at = attention_place(s.heads, s.queries, 1);
  const Index rows = s.queries - at.first;
  const A factor = static_cast<A>(s.scale * attention_log2e);
  q += (at.image * s.queries + at.first) * s.query_stride + at.head * s.width;
  k += at.image * s.keys * s.key_stride + at.head * s.width;
  map += ((at.image * s.heads + at.head) * s.queries + at.first) * s.keys;

  OnlineSoftmax<A> softmax;
  AttentionScores<A> p;
  A scratch[attention_part];
  for (Index key = 0; key < s.keys; key += attention_tile) {
    score_tile(q, s.query_stride, rows, k + key * s.key_stride, s.key_stride, s.keys - key, s.width, shared,
               p);
    softmax.add(p, factor, s.keys - key, scratch);
  }
  GRAM_UNROLL
  for (int i = 0; i < attention_part; ++i) scratch[i] = 1 / row_sum(softmax.total[i]);
  for (Index key = 0; key < s.keys; key += attention_tile) {
    score_tile(q, s.query_stride, rows, k + key * s.key_stride, s.key_stride, s.keys - key, s.width, shared,
               p);
    GRAM_UNROLL
    for (int i = 0; i < attention_part; ++i) {
      GRAM_UNROLL
      for (int j = 0; j < attention_part; ++j) {
        const Index row = tile_row() + i * attention_lanes,
                    column = key + tile_column() + j * attention_lanes;
        if (row < rows && column < s.keys)
          map[row * s.keys + column] = narrow<T>(std::exp2(p[i][j] * factor - softmax.top[i]) * scratch[i]);
      }
    }
  }
}

/// Attention by the kernels of this file.
template <class T>
void attention_forward(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* v,
                       T* y, accum_t<T>* lse) {
  const auto run = [&](auto kernel, Index width) {
    const Index chunks = std::max<Index>(ceil_div(s.value_width, width), 1);
    launch(device, kernel, attention_blocks(s, s.queries, chunks), block_threads,
           attention_shared_bytes<accum_t<T>>, s, chunks, q, k, v, y, lse);
  };
  constexpr int most = attention_widest<T>;
  if (most == 32 || s.value_width <= 32)
    run(attention_kernel<T, 32>, 32);
  else
    run(attention_kernel<T, most>, most);
}

template <class T>
void attention_map(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, T* map) {
  launch(device, attention_map_kernel<T>, attention_blocks(s, s.queries, 1), block_threads,
         attention_shared_bytes<accum_t<T>>, s, q, k, map);
}

static __global__ void scale_logarithms_kernel(const float* x, float factor, float* y, Index n) {
  for (Index i = first_item(); i < n; i += item_step()) y[i] = x[i] * factor;
}
/// y = factor x, for the logarithms of the sums of all rows: cuDNN's are natural, those of both devices'
/// kernels have the base 2.
inline void scale_logarithms(Cuda device, const kernels::AttentionShape& s, const float* x, double factor,
                             float* y) {
  const Index n = s.images * s.heads * s.queries;
  launch(device, scale_logarithms_kernel, grid_blocks(n), block_threads, 0, x, static_cast<float>(factor), y,
         n);
}

/// By cuDNN where it takes the shape, else by the kernels of this file.
template <class T>
void attention_by_choice(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* v,
                         T* y, accum_t<T>* lse) {
  if constexpr (std::same_as<T, bf16>)
    if (cudnn_attention(device, s, q, k, v, y, lse))
      return scale_logarithms(device, s, lse, std::numbers::log2e, lse);
  attention_forward(device, s, q, k, v, y, lse);
}
template <class T>
void attention_grad_by_choice(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k,
                              const T* v, const T* y, const accum_t<T>* lse, const T* dy, GradientSink<T> dq,
                              GradientSink<T> dk, GradientSink<T> dv) {
  if constexpr (std::same_as<T, bf16>) {
    DeviceScratch<float> natural(device, s.images * s.heads * s.queries);
    scale_logarithms(device, s, lse, std::numbers::ln2, natural.data());
    if (cudnn_attention_grad(device, s, q, k, v, y, natural.data(), dy, dq, dk, dv)) return;
  }
  attention_backward(device, s, q, k, v, y, lse, dy, dq, dk, dv);
}

template <class T>
void fill_in_attention_tables() {
  attention_table<T> = {attention_by_choice<T>, attention_grad_by_choice<T>, attention_map<T>,
                        attention_map_grad<T>};
}

}  // namespace gram::cuda
