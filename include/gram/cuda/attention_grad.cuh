// SPDX-License-Identifier: MIT
// Backward pass of attention, without sums in memory that several blocks add to: one kernel goes through the
// keys for a tile of queries and makes dq, another one goes through the queries for a tile of keys and makes
// dk and dv. Both make the scores again:
//     p = 2^(scale log2e q k^T - lse),  ds = p (dy v^T - delta),  delta = sum dy y of each query
//     dq = scale ds k,  dk = scale ds^T q,  dv = p^T dy
// The gradient of the map itself, ds = map (dmap - delta) with delta = sum map dmap, takes the same two.
#pragma once
#include "gram/cuda/attention_tile.cuh"

namespace gram::cuda {

/// map and dmap for the gradient of the map, the rest without.
template <class T>
struct AttentionGradArguments {
  kernels::AttentionShape s;
  Index chunks;
  const T *q, *k, *v, *dy, *map, *dmap;
  const accum_t<T>*lse, *delta;  // (images, heads, queries)
  GradientSink<T> dq, dk, dv;
};

/// delta (images, heads, queries) = sum of x y over `width`. Rows (image, query, head) when `tokens`, else
/// (image, head, query). A warp for each row; reads x and y once.
template <class T>
__global__ void attention_delta_kernel(kernels::AttentionShape s, bool tokens, Index width, const T* x,
                                       const T* y, accum_t<T>* delta) {
  const Index rows = s.images * s.heads * s.queries,
              row = static_cast<Index>(blockIdx.x) * blockDim.y + threadIdx.y;
  accum_t<T> sum = 0;
  for (Index i = threadIdx.x; row < rows && i < width; i += warp_size)
    sum += wide(x[row * width + i]) * wide(y[row * width + i]);
  sum = warp_sum(sum);
  const Index image = row / (s.heads * s.queries), rest = row % (s.heads * s.queries);
  const Index to = tokens ? (image * s.heads + rest % s.heads) * s.queries + rest / s.heads : row;
  if (row < rows && threadIdx.x == 0) delta[to] = sum;
}

/// Weights p and gradients ds of the scores of a tile, rows from `query` on and columns from `key` on; zeros
/// outside.
template <bool from_map, class T, class A>
GRAM_DEVICE void score_gradients(const AttentionGradArguments<T>& g, const AttentionPlace& at, Index query,
                                 Index key, A* shared, AttentionScores<A>& p, AttentionScores<A>& ds) {
  const kernels::AttentionShape& s = g.s;
  const Index first = (at.image * s.heads + at.head) * s.queries, ldy = s.heads * s.value_width;
  const Index q_row = at.image * s.queries + query, k_row = at.image * s.keys + key;
  if constexpr (!from_map) {
    score_tile(g.q + q_row * s.query_stride + at.head * s.width, s.query_stride, s.queries - query,
               g.k + k_row * s.key_stride + at.head * s.width, s.key_stride, s.keys - key, s.width, shared,
               p);
    score_tile(g.dy + q_row * ldy + at.head * s.value_width, ldy, s.queries - query,
               g.v + k_row * s.value_stride + at.head * s.value_width, s.value_stride, s.keys - key,
               s.value_width, shared, ds);
  }
  const A factor = static_cast<A>(s.scale * attention_log2e);
  GRAM_UNROLL
  for (int i = 0; i < attention_part; ++i) {
    const Index row = query + tile_row() + i * attention_lanes;
    const bool inside = row < s.queries;
    const A lse = !from_map && inside ? g.lse[first + row] : A(0),
            delta = inside ? g.delta[first + row] : A(0);
    GRAM_UNROLL
    for (int j = 0; j < attention_part; ++j) {
      const Index column = key + tile_column() + j * attention_lanes;
      const bool valid = inside && column < s.keys;
      if constexpr (from_map) {
        const Index element = (first + row) * s.keys + column;
        p[i][j] = valid ? wide(g.map[element]) : A(0);
        ds[i][j] = valid ? p[i][j] * (wide(g.dmap[element]) - delta) : A(0);
      } else {
        p[i][j] = valid ? std::exp2(p[i][j] * factor - lse) : A(0);
        ds[i][j] = valid ? p[i][j] * (ds[i][j] - delta) : A(0);
      }
    }
  }
}

/// dq of a tile of queries.
template <bool from_map, class T, int D>
__global__ void __launch_bounds__(block_threads) attention_dq_kernel(AttentionGradArguments<T> g) {
  using A = accum_t<T>;
  A* const shared = dynamic_shared<A>();
  const kernels::AttentionShape& s = g.s;
  const AttentionPlace at = attention_place(s.heads, s.queries, g.chunks);
  const Index channel = at.head * s.width + at.chunk * D, width = s.width - at.chunk * D;
  A sums[attention_part][D / attention_lanes] = {};
  for (Index key = 0; key < s.keys; key += attention_tile) {
    AttentionScores<A> p, ds;
    score_gradients<from_map>(g, at, at.first, key, shared, p, ds);
    if constexpr (from_map) __syncthreads();  // the weights may still be read
    share_weights<false>(ds, shared);
    mix_rows<D>(g.k + (at.image * s.keys + key) * s.key_stride + channel, s.key_stride, s.keys - key, width,
                shared, sums);
  }
  store_rows<D>(sums, static_cast<A>(s.scale),
                g.dq.data + (at.image * s.queries + at.first) * s.query_stride + channel, s.query_stride,
                s.queries - at.first, width, g.dq.add);
}

/// dk and dv of a tile of keys. They may share memory: a thread writes dk first.
template <bool from_map, class T, int D>
__global__ void __launch_bounds__(block_threads) attention_dk_dv_kernel(AttentionGradArguments<T> g) {
  using A = accum_t<T>;
  A* const shared = dynamic_shared<A>();
  const kernels::AttentionShape& s = g.s;
  const AttentionPlace at = attention_place(s.heads, s.keys, g.chunks);
  const Index channel = at.head * s.width + at.chunk * D, width = s.width - at.chunk * D;
  const Index value = at.head * s.value_width + at.chunk * D, value_width = s.value_width - at.chunk * D;
  const Index ldy = s.heads * s.value_width;
  A dk[attention_part][D / attention_lanes] = {}, dv[attention_part][D / attention_lanes] = {};
  for (Index query = 0; query < s.queries; query += attention_tile) {
    AttentionScores<A> p, ds;
    const Index row = at.image * s.queries + query, rows = s.queries - query;
    score_gradients<from_map>(g, at, query, at.first, shared, p, ds);
    if (g.dv.data) {
      share_weights<true>(p, shared);
      mix_rows<D>(g.dy + row * ldy + value, ldy, rows, value_width, shared, dv);
    }
    if (!g.dk.data) continue;
    __syncthreads();  // the weights may still be read
    share_weights<true>(ds, shared);
    mix_rows<D>(g.q + row * s.query_stride + channel, s.query_stride, rows, width, shared, dk);
  }
  const Index first = at.image * s.keys + at.first, rows = s.keys - at.first;
  if (g.dk.data)
    store_rows<D>(dk, static_cast<A>(s.scale), g.dk.data + first * s.key_stride + channel, s.key_stride, rows,
                  width, g.dk.add);
  if (g.dv.data)
    store_rows<D>(dv, A(1), g.dv.data + first * s.value_stride + value, s.value_stride, rows, value_width,
                  g.dv.add);
}

template <bool from_map, class T>
void attention_gradients(Cuda device, AttentionGradArguments<T> g) {
  const kernels::AttentionShape& s = g.s;
  const auto run = [&](auto dq, auto dk_dv, Index chunk) {
    const std::size_t shared = attention_shared_bytes<accum_t<T>>;
    g.chunks = ceil_div(s.width, chunk);
    if (g.dq.data) launch(device, dq, attention_blocks(s, s.queries, g.chunks), block_threads, shared, g);
    if (g.dv.data) g.chunks = std::max(g.chunks, ceil_div(s.value_width, chunk));
    if (g.dk.data || g.dv.data)
      launch(device, dk_dv, attention_blocks(s, s.keys, g.chunks), block_threads, shared, g);
  };
  constexpr int most = attention_widest<T>;
  if (most == 32 || std::max(s.width, g.dv.data ? s.value_width : 0) <= 32)
    run(attention_dq_kernel<from_map, T, 32>, attention_dk_dv_kernel<from_map, T, 32>, 32);
  else
    run(attention_dq_kernel<from_map, T, most>, attention_dk_dv_kernel<from_map, T, most>, most);
}

template <class T>
void attention_delta(Cuda device, const kernels::AttentionShape& s, bool tokens, Index width, const T* x,
                     const T* y, accum_t<T>* delta) {
  constexpr unsigned rows = 8;
  launch(device, attention_delta_kernel<T>,
         static_cast<unsigned>(ceil_div(s.images * s.heads * s.queries, rows)), dim3(warp_size, rows), 0, s,
         tokens, width, x, y, delta);
}

template <class T>
void attention_backward(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* v,
                        const T* y, const accum_t<T>* lse, const T* dy, GradientSink<T> dq,
                        GradientSink<T> dk, GradientSink<T> dv) {
  DeviceScratch<accum_t<T>> delta(device, s.images * s.heads * s.queries);
  attention_delta(device, s, true, s.value_width, y, dy, delta.data());
  attention_gradients<false, T>(device, {s, 0, q, k, v, dy, nullptr, nullptr, lse, delta.data(), dq, dk, dv});
}

template <class T>
void attention_map_grad(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* map,
                        const T* dmap, GradientSink<T> dq, GradientSink<T> dk) {
  DeviceScratch<accum_t<T>> delta(device, s.images * s.heads * s.queries);
  attention_delta(device, s, false, s.keys, map, dmap, delta.data());
  attention_gradients<true, T>(device,
                               {s, 0, q, k, nullptr, nullptr, map, dmap, nullptr, delta.data(), dq, dk, {}});
}

}  // namespace gram::cuda
