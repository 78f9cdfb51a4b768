// SPDX-License-Identifier: MIT
// What the kernels of attention are made of. A block has a tile of 64 queries, or of 64 keys, of one
// attention head, and meets the tiles of the other side one after another; maps of scores exist only as 64 x
// 64 tiles. Thread (y, x) of 16 x 16 has rows y + 16 i and columns x + 16 j of a tile. Sums are floats
// (doubles for double), made by ordinary multiplications: these kernels are for every type, width and length.
#pragma once
#include <cmath>
#include <numbers>

#include "gram/core/gradient_sink.hpp"
#include "gram/cuda/context.cuh"
#include "gram/kernels/attention.hpp"

namespace gram::cuda {

inline constexpr int attention_tile = 64;   ///< queries, and keys
inline constexpr int attention_slice = 32;  ///< channels that scores sum at a time
inline constexpr int attention_lanes = 16, attention_part = attention_tile / attention_lanes;

/// Turns scores into base-2 logarithms.
inline constexpr double attention_log2e = std::numbers::log2e;

/// Channels of the results that a block makes; wider heads are cut into chunks.
template <class T>
inline constexpr int attention_widest = sizeof(accum_t<T>) == 8 ? 32 : 64;

/// The numbers of one thread in a tile of scores.
template <class A>
using AttentionScores = A[attention_part][attention_part];

/// A block's shared memory: weights (64, 65) behind slices of two operands (64, 33), whose place a tile of
/// rows to be mixed takes later.
inline constexpr int attention_slice_ld = attention_slice + 1, attention_weight_ld = attention_tile + 1;
inline constexpr int attention_operands = 2 * attention_tile * attention_slice_ld;
template <class A>
inline constexpr std::size_t attention_shared_bytes = (attention_operands +
                                                       attention_tile * attention_weight_ld) *
                                                      sizeof(A);

/// What a block works on: rows first .. of one head of one image, and one chunk of channels.
struct AttentionPlace {
  Index image, head, first, chunk;
};
GRAM_DEVICE AttentionPlace attention_place(Index heads, Index rows, Index chunks) {
  const Index tiles = ceil_div(rows, attention_tile), block = blockIdx.x, rest = block / tiles;
  return {rest / chunks / heads, rest / chunks % heads, block % tiles * attention_tile, rest % chunks};
}
inline unsigned attention_blocks(const kernels::AttentionShape& s, Index rows, Index chunks) {
  return static_cast<unsigned>(s.images * s.heads * ceil_div(rows, attention_tile) * chunks);
}

GRAM_DEVICE int tile_row() { return static_cast<int>(threadIdx.x) / attention_lanes; }
GRAM_DEVICE int tile_column() { return static_cast<int>(threadIdx.x) % attention_lanes; }

/// Over the 16 threads that have the same rows.
template <class A>
GRAM_DEVICE A row_sum(A value) {
  for (int distance = attention_lanes / 2; distance; distance /= 2)
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  return value;
}
template <class A>
GRAM_DEVICE A row_max(A value) {
  for (int distance = attention_lanes / 2; distance; distance /= 2) {
    const A other = __shfl_xor_sync(0xffffffffU, value, distance);
    value = other > value || other != other ? other : value;
  }
  return value;
}

/// to (64, columns) = x, zeros outside its `rows` rows and `width` columns.
template <class T, class A>
GRAM_DEVICE void load_rows(const T* x, Index ldx, Index rows, Index width, int columns, A* to, int ld) {
  for (int i = static_cast<int>(threadIdx.x); i < attention_tile * columns; i += block_threads) {
    const int row = i / columns, column = i % columns;
    to[row * ld + column] = row < rows && column < width ? wide(x[row * ldx + column]) : A(0);
  }
}

/// scores (64, 64) = x y^T, sums over `width` channels.
template <class T, class A>
GRAM_DEVICE void score_tile(const T* x, Index ldx, Index rows_x, const T* y, Index ldy, Index rows_y,
                            Index width, A* shared, AttentionScores<A>& scores) {
  constexpr int P = attention_part, lanes = attention_lanes, ld = attention_slice_ld;
  A *const left = shared, *const right = shared + attention_tile * ld;
  GRAM_UNROLL
  for (int i = 0; i < P; ++i) {
    GRAM_UNROLL
    for (int j = 0; j < P; ++j) scores[i][j] = 0;
  }
  for (Index c = 0; c < width; c += attention_slice) {
    __syncthreads();  // the memory may still be read
    load_rows(x + c, ldx, rows_x, width - c, attention_slice, left, ld);
    load_rows(y + c, ldy, rows_y, width - c, attention_slice, right, ld);
    __syncthreads();
    for (int k = 0; k < attention_slice; ++k) {
      GRAM_UNROLL
      for (int i = 0; i < P; ++i) {
        GRAM_UNROLL
        for (int j = 0; j < P; ++j)
          scores[i][j] +=
              left[(tile_row() + i * lanes) * ld + k] * right[(tile_column() + j * lanes) * ld + k];
      }
    }
  }
}

/// Puts a tile where all threads can read it, turned on request.
template <bool turned, class A>
GRAM_DEVICE void share_weights(const AttentionScores<A>& values, A* shared) {
  A* const weights = shared + attention_operands;
  GRAM_UNROLL
  for (int i = 0; i < attention_part; ++i) {
    GRAM_UNROLL
    for (int j = 0; j < attention_part; ++j) {
      const int row = tile_row() + i * attention_lanes, column = tile_column() + j * attention_lanes;
      weights[turned ? column * attention_weight_ld + row : row * attention_weight_ld + column] =
          values[i][j];
    }
  }
}

/// sums (64, D) += weights (64, 64) x (64, D): the shared weights mix `rows` rows of x. All threads have left
/// their last tile of scores, and meet twice.
template <int D, class T, class A>
GRAM_DEVICE void mix_rows(const T* x, Index ldx, Index rows, Index width, A* shared,
                          A (&sums)[attention_part][D / attention_lanes]) {
  __syncthreads();
  load_rows(x, ldx, rows, width, D, shared, D);
  __syncthreads();
  const A* const weights = shared + attention_operands + tile_row() * attention_weight_ld;
  for (int k = 0; k < attention_tile; ++k) {
    GRAM_UNROLL
    for (int i = 0; i < attention_part; ++i) {
      GRAM_UNROLL
      for (int j = 0; j < D / attention_lanes; ++j)
        sums[i][j] += weights[i * attention_lanes * attention_weight_ld + k] *
                      shared[k * D + tile_column() + j * attention_lanes];
    }
  }
}

/// y (64, D) = scale sums, added to y on request; only its `rows` rows and `width` columns.
template <int D, class T, class A>
GRAM_DEVICE void store_rows(const A (&sums)[attention_part][D / attention_lanes], A scale, T* y, Index ldy,
                            Index rows, Index width, bool add) {
  GRAM_UNROLL
  for (int i = 0; i < attention_part; ++i) {
    GRAM_UNROLL
    for (int j = 0; j < D / attention_lanes; ++j) {
      const int row = tile_row() + i * attention_lanes, column = tile_column() + j * attention_lanes;
      if (row < rows && column < width) {
        T* const to = y + row * ldy + column;
        const A value = sums[i][j] * scale;
        *to = narrow<T>(add ? wide(*to) + value : value);
      }
    }
  }
}

}  // namespace gram::cuda
