// SPDX-License-Identifier: MIT
// Matrix products of float with operands rounded to bf16, over all threads. The cutting is that of gemm.hpp;
// what differs is that A, too, is copied:
//
//   few rows    A is rounded at once; a task rounds a panel of B and multiplies all of A with it.
//   many rows   B is rounded at once, panel by panel; a task rounds a block of rows of A, which stays in
//               its L2 cache, and multiplies it with all panels.
//   A^T B       the sum over k is long: a task walks down A and B in slices of 256 rows, rounds A, then a
//               panel of B at a time, and adds their product to a block of C that stays in its L2 cache.
//
// Rounding costs a pass over an operand; each of its elements then takes part in as many multiplications as
// the other operand has columns, so that it pays from a few dozen on.
#pragma once
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_parts.hpp"
#include "gram/cpu/tile_bf16.hpp"

namespace gram::cpu {

/// Rounded rows of A: word x of row i at data[i * row + x * step].
struct PairRows {
  const Pair16* data;
  Index row, step;
};

inline Index pairs(Index k) { return ceil_div(k, Index{2}); }

/// Distance of rounded rows: an odd number of cache lines, or the rows of a tile would share few cache sets.
inline Index pair_pitch(Index k) { return (ceil_div(pairs(k), Index{16}) | 1) * 16; }

// What is needed after the tiles at hand, a piece for each tile. A pass that rounds waits for memory, which
// has nothing to do while tiles are multiplied; so the next operands are asked for then. (LinesAhead is the
// third.)
struct NothingAhead {
  TileRows<float> next(Index, TileRows<float> otherwise) { return otherwise; }
};
/// Consecutive lines, one for each step of a tile.
class LinesInOrder {
 public:
  LinesInOrder(const float* begin, const float* end, Index steps)
      : at_(begin), end_(end), piece_(16 * steps) {}
  TileRows<float> next(Index, TileRows<float> otherwise) {
    if (at_ >= end_) return otherwise;
    const float* const from = at_;
    at_ += piece_;
    return {from, 8};
  }

 private:
  const float *at_, *end_;
  Index piece_;
};

/// m rows of C against one rounded panel.
template <class Ahead>
void multiply_pair_panel(const PairTileTable<bf16>& tile, Index m, Index columns, Index pairs,
                         const PairRows& a, const Pair16* panel, Ahead&& ahead, float* c, Index ldc,
                         const TileEpilogue<float>& e) {
  const Index step = tile.height(m, columns), offset = 0;
  const Pair16* from[PairTileTable<bf16>::max_rows];
  float* to[PairTileTable<bf16>::max_rows];
  for (Index i = 0; i < m; i += step) {
    const Index rows = std::min(step, m - i);
    for (Index r = 0; r < step; ++r) {
      const Index row = i + std::min(r, rows - 1);
      from[r] = a.data + row * a.row;
      to[r] = c + row * ldc;
    }
    tile.product(1, &offset, pairs, a.step, from, panel, ahead.next(pairs, {c, 0}), rows, to, columns, e);
  }
}

inline void gemm_bf16_by_columns(const GemmShape& s, const float* a, Index lda, const Operand<float>& b,
                                 float* c, Index ldc, const TileEpilogue<float>& e) {
  const auto& tile = pair_tile_table<bf16>();
  const Index depth = pairs(s.k), pitch = pair_pitch(s.k);
  const Index panels = ceil_div(s.n, tile.width), size = depth * tile.width;
  Scratch<Pair16> left(s.m * pitch), scratch(workers(panels) * size);
  parallel_for(s.m, std::max<Index>(1, 16384 / s.k), [&](Index begin, Index end) {
    tile.round_rows(end - begin, s.k, a + begin * lda, lda, left.data() + begin * pitch, pitch);
  });
  parallel_blocks(panels, [&](Index block, int worker) {
    const Index p = block * tile.width, columns = std::min(tile.width, s.n - p);
    Pair16* const panel = scratch.data() + worker * size;
    tile.round_lanes(s.k, columns, b.at(0, p), b.row_stride, b.column_stride, panel,
                     round_up(columns, tile.lanes));
    multiply_pair_panel(tile, s.m, columns, depth, {left.data(), pitch, 1}, panel, NothingAhead{}, c + p, ldc,
                        from_column(e, p));
  });
}

/// Words of a rounded and packed (k, n) matrix.
inline Index rounded_size(Index k, Index n) { return pairs(k) * round_up(n, pair_tile_table<bf16>().lanes); }

/// Rounds and packs op(B) (k, n) over all threads.
inline void gemm_bf16_pack(Index k, Index n, const Operand<float>& b, Pair16* packed) {
  const auto& tile = pair_tile_table<bf16>();
  const Index panels = ceil_div(n, tile.width), chunk = 256, chunks = ceil_div(k, chunk);
  parallel_blocks(panels * chunks, [&](Index block, int) {
    const Index p = block / chunks * tile.width, columns = std::min(tile.width, n - p);
    const Index first = block % chunks * chunk, w = round_up(columns, tile.lanes);
    tile.round_lanes(std::min(chunk, k - first), columns, b.at(first, p), b.row_stride, b.column_stride,
                     packed + p * pairs(k) + pairs(first) * w, w);
  });
}

/// C = epilogue(A B) with B rounded and packed.
inline void gemm_bf16_packed(const GemmShape& s, const float* a, Index lda, const Pair16* packed, float* c,
                             Index ldc, const TileEpilogue<float>& e) {
  if (s.m == 0) return;
  const auto& tile = pair_tile_table<bf16>();
  const Index depth = pairs(s.k), pitch = pair_pitch(s.k), panels = ceil_div(s.n, tile.width);
  constexpr Index l2_part = 192 * 1024 / sizeof(Pair16), step = PairTileTable<bf16>::max_rows;
  const Index fitting = std::min<Index>(384, l2_part / pitch);
  const Index even = std::max<Index>(72, ceil_div(s.m, 12));
  const Index rows = round_up(std::clamp<Index>(std::min(fitting, even), 1, s.m), step);
  const Index blocks = ceil_div(s.m, rows),
              cuts = blocks >= 10 ? 1 : std::min<Index>(panels, blocks == 1 ? 16 : 4);
  const Index span = ceil_div(panels, cuts), size = rows * pitch;
  Scratch<Pair16> scratch(workers(blocks * cuts) * size);
  parallel_blocks(blocks * cuts, [&](Index block, int worker) {
    const Index i = block % blocks * rows, m = std::min(rows, s.m - i);
    const Index next = i + m, then = lda == s.k ? std::min(next + rows, s.m) : next;
    const Index first = block / blocks * span, last = std::min(panels, first + span);
    LinesInOrder ahead(a + next * lda, a + then * lda, depth);
    Pair16* const left = scratch.data() + worker * size;
    tile.round_rows(m, s.k, a + i * lda, lda, left, pitch);
    for (Index p = first * tile.width; p < std::min(s.n, last * tile.width); p += tile.width)
      multiply_pair_panel(tile, m, std::min(tile.width, s.n - p), depth, {left, pitch, 1}, packed + p * depth,
                          ahead, c + i * ldc + p, ldc, from_column(e, p));
  });
}

inline void gemm_bf16_by_rows(const GemmShape& s, const float* a, Index lda, const Operand<float>& b,
                              float* c, Index ldc, const TileEpilogue<float>& e) {
  Scratch<Pair16> packed(rounded_size(s.k, s.n));
  gemm_bf16_pack(s.k, s.n, b, packed.data());
  gemm_bf16_packed(s, a, lda, packed.data(), c, ldc, e);
}

/// Rows of A and B that gemm_bf16_outer rounds at a time, and columns of A whose words lie together: a
/// multiple of the rows of every tile.
inline constexpr Index bf16_slice = 256, bf16_strip = 48;

/// Scratch of gemm_bf16_outer for m rows of C, in words.
inline Index gemm_bf16_outer_scratch(Index m) {
  return bf16_slice / 2 * (round_up(m, bf16_strip) + pair_tile_table<bf16>().width);
}

/// Rounds the rows of B (k, n), k at most bf16_slice, to packed panels `width` columns wide; few rows at a
/// time, so that memory is read in order.
inline void round_slice(const PairTileTable<bf16>& tile, Index k, Index n, const Operand<float>& b,
                        Index width, Pair16* panels) {
  const Index depth = pairs(k), chunk = b.column_stride == 1 ? 8 : 64;
  for (Index first = 0; first < k; first += chunk)
    for (Index p = 0; p < n; p += width) {
      const Index columns = std::min(width, n - p),
                  w = width == bf16_strip ? bf16_strip : round_up(columns, tile.lanes);
      tile.round_lanes(std::min(chunk, k - first), columns, b.at(first, p), b.row_stride, b.column_stride,
                       panels + p * depth + first / 2 * w, w);
    }
}

/// C (m, n) = A^T B in the calling thread, A (k, m), B (k, n).
inline void gemm_bf16_outer(const GemmShape& s, const float* a, Index lda, const Operand<float>& b, float* c,
                            Index ldc, const TileEpilogue<float>& e, Pair16* scratch) {
  const auto& tile = pair_tile_table<bf16>();
  Pair16* const strips = scratch;
  Pair16* const panel = scratch + bf16_slice / 2 * round_up(s.m, bf16_strip);
  const Index slice = round_up(ceil_div(s.k, ceil_div(s.k, bf16_slice)), Index{16});
  for (Index begin = 0; begin < s.k; begin += slice) {
    const Index count = std::min(slice, s.k - begin), depth = pairs(count);
    const Index end = begin + count;
    const bool fetch = s.k - end >= count;
    LinesAhead<float> ahead({a + end * lda, lda}, fetch ? s.m : 0, {b.at(end, 0), b.row_stride},
                            fetch && b.column_stride == 1 ? s.n : 0);
    round_slice(tile, count, s.m, {a + begin * lda, lda, 1}, bf16_strip, strips);
    for (Index p = 0; p < s.n; p += tile.width) {
      const Index columns = std::min(tile.width, s.n - p);
      round_slice(tile, count, columns, b.from(begin, p), tile.width, panel);
      TileEpilogue<float> now = end == s.k ? from_column(e, p) : TileEpilogue<float>{};
      now.add = e.add || begin > 0;
      for (Index i = 0; i < s.m; i += bf16_strip)
        multiply_pair_panel(tile, std::min(bf16_strip, s.m - i), columns, depth,
                            {strips + i * depth, 1, bf16_strip}, panel, ahead, c + i * ldc + p, ldc, now);
    }
  }
}

/// A^T B: as gemm_by_parts.
inline void gemm_bf16_by_parts(const GemmShape& s, const float* a, Index lda, const Operand<float>& b,
                               float* c, Index ldc, const TileEpilogue<float>& e) {
  const PartsPlan plan(s, sizeof(float), 16);
  const Index size = gemm_bf16_outer_scratch(plan.rows);
  Scratch<Pair16> scratch(workers(plan.blocks()) * size);
  gemm_in_parts(plan, c, ldc, e,
                [&](const GemmShape& piece, Index k, Index i, Index j, float* to, Index ld,
                    const TileEpilogue<float>& now, int worker) {
                  gemm_bf16_outer(piece, a + k * lda + i, lda, b.from(k, j), to, ld, now,
                                  scratch.data() + worker * size);
                });
}

/// Whether a product is large enough in all directions that rounding its operands pays.
inline bool worth_rounding(const GemmShape& s) {
  return std::min({s.m, s.n, s.k}) >= 32 && s.m * s.n * s.k > Index{1} << 18;
}

/// C (m, n) = epilogue(op(A) op(B)), m, n and k positive; op(A) and op(B) rounded to bf16, sums in float.
inline void gemm_bf16(const GemmShape& s, const float* a, Index lda, bool transpose_a, const float* b,
                      Index ldb, bool transpose_b, float* c, Index ldc, const TileEpilogue<float>& e) {
  const Operand<float> right = operand(b, ldb, transpose_b);
  if (transpose_a)
    gemm_bf16_by_parts(s, a, lda, right, c, ldc, e);
  else if (s.m <= 64 || (s.m * s.k <= Index{128} << 10 && s.n >= 8 * pair_tile_table<bf16>().width))
    gemm_bf16_by_columns(s, a, lda, right, c, ldc, e);
  else
    gemm_bf16_by_rows(s, a, lda, right, c, ldc, e);
}

}  // namespace gram::cpu
