// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

template <int R, int V>
GRAM_KERNEL void pair_product_tile(Index taps, const Index* offsets, Index pairs, Index step,
                                   const Pair16* const* a, const Pair16* panel, TileRows<float> ahead,
                                   Index rows, float* const* c, Index columns, const TileEpilogue<float>& e) {
  for (Index i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(c[i] + j * lanes<float>, 1);
  vec_f sum[R][V] = {};
  for (Index t = 0; t < taps; ++t) {
    const Pair16* row[R];
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) row[i] = a[i] + offsets[t];
    for (Index x = 0, at = 0; x < pairs; ++x, at += step, panel += V * lanes<float>) {
      __builtin_prefetch(ahead.data, 0, 2);
      __builtin_prefetch(ahead.data + ahead.stride, 0, 2);
      ahead.data += 2 * ahead.stride;
      vec_u32 b[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) b[j] = load(panel + j * lanes<float>);
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i) {
        const vec_u32 value = splat<Pair16>(row[i][at]);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] = add_pair_products(sum[i][j], value, b[j]);
      }
    }
  }
  finish_tile<R, V>(sum, rows, c, columns, e);
}

template <class T>
GRAM_KERNEL void pair_product(Index taps, const Index* offsets, Index pairs, Index step,
                              const Pair16* const* a, const Pair16* panel, const TileRows<float>& ahead,
                              Index rows, float* const* c, Index columns, const TileEpilogue<float>& e) {
  constexpr int few = tile_vectors == 4 ? 12 : 6;
  constexpr Index vector = lanes<float>;
  if (columns <= vector)
    return pair_product_tile<12, 1>(taps, offsets, pairs, step, a, panel, ahead, rows, c, columns, e);
  if (columns <= 2 * vector)
    return pair_product_tile<few, 2>(taps, offsets, pairs, step, a, panel, ahead, rows, c, columns, e);
  if constexpr (tile_vectors == 4) {
    if (columns <= 3 * vector)
      return pair_product_tile<6, 3>(taps, offsets, pairs, step, a, panel, ahead, rows, c, columns, e);
    pair_product_tile<6, 4>(taps, offsets, pairs, step, a, panel, ahead, rows, c, columns, e);
  }
}

template <class T>
GRAM_KERNEL void round_rows(Index rows, Index n, const float* from, Index ld, Pair16* to, Index pitch) {
  constexpr Index vector = lanes<float>;
  for (Index i = 0; i < rows; ++i, from += ld, to += pitch) {
    Index j = 0;
    for (; j + 2 * vector <= n; j += 2 * vector)
      store_rounded(to + j / 2, load(from + j), load(from + j + vector));
    if (const Index left = n - j; left > vector)
      store_rounded(to + j / 2, load(from + j), load(from + j + vector, left - vector));
    else if (left > 0)
      store_rounded(to + j / 2, load_first(from + j, left), vec_f{});
  }
}

template <class T>
GRAM_KERNEL void round_lanes(Index k, Index n, const float* from, Index k_stride, Index n_stride, Pair16* to,
                             Index pitch) {
  constexpr Index vector = lanes<float>;
  if (n_stride == 1) {
    const Index whole = n / vector * vector, rest = n - whole;
    for (; k > 1; k -= 2, from += 2 * k_stride, to += pitch) {
      const float* const next = from + k_stride;
#pragma GCC unroll 4
      for (Index j = 0; j < whole; j += vector) store_interleaved(to + j, load(from + j), load(next + j));
      if (rest) store_interleaved(to + whole, load_first(from + whole, rest), load_first(next + whole, rest));
    }
    if (k == 1)
      for (Index j = 0; j < n; j += vector)
        store_interleaved(to + j, load_first(from + j, n - j < vector ? n - j : vector), vec_f{});
    return;
  }
  // Columns of B are rows in memory: rounded as they lie, they give words, which are transposed.
  constexpr Index depth = 32, block = 16;
  Pair16 words[block * (depth + vector)];
  constexpr Index line = depth + vector;
  for (Index first = 0; first < k; first += 2 * depth) {
    const Index count = k - first < 2 * depth ? k - first : 2 * depth, pairs = ceil_div(count, Index{2});
    Pair16* const rows = to + first / 2 * pitch;
    for (Index j = 0; j < n; j += block) {
      const Index columns = n - j < block ? n - j : block, padded = round_up(columns, vector);
      round_rows<T>(columns, count, from + first + j * n_stride, n_stride, words, line);
      for (Index c = columns; c < padded; ++c)
        for (Index x = 0; x < pairs; ++x) words[c * line + x] = 0;
      transpose(pairs, padded, words, line, rows + j, pitch);
    }
  }
}

template <class T>
inline constexpr PairTileTable<T> pair_tile_kernels{lanes<float>, tile_vectors* lanes<float>, pair_product<T>,
                                                    round_rows<T>, round_lanes<T>};

}  // namespace gram::cpu::GRAM_ISA
