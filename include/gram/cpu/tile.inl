// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Vectors in a full panel: 6 x 4 sums fill the 32 registers of AVX-512, 6 x 2 the 16 of the others.
inline constexpr int tile_vectors = GRAM_BYTES == 64 ? 4 : 2;

/// GELU of a stored tile. Not inlined: its code would be repeated for every tile, and needs the registers of
/// the sums.
template <class T>
GRAM_KERNEL __attribute__((noinline)) void gelu_tile(Index rows, T* const* c, Index columns) {
  for (Index i = 0; i < rows; ++i) {
    Index j = 0;
    for (; j + lanes<T> <= columns; j += lanes<T>) store(c[i] + j, gelu(load(c[i] + j)));
    if (j < columns) store(c[i] + j, gelu(load(c[i] + j, columns - j)), columns - j);
  }
}

/// Finishes and stores a tile whose columns do not fill its vectors, sum (rows, stride). Not inlined: its
/// code would be repeated for every tile.
template <class T>
GRAM_KERNEL __attribute__((noinline)) void finish_ragged(const T* sum, Index stride, Index rows, T* const* c,
                                                         Index columns, const TileEpilogue<T>& e) {
  for (Index i = 0; i < rows; ++i, sum += stride)
    for (Index j = 0; j < columns; j += lanes<T>) {
      const Index n = columns - j;
      const bool whole = n >= lanes<T>;
      T* const p = c[i] + j;
      vec<T> v = load(sum + j);
      if (e.bias) v += whole ? load(e.bias + j) : load(e.bias + j, n);
      if (e.residual) v += whole ? load(e.residual + (p - e.base)) : load(e.residual + (p - e.base), n);
      if (e.add) v += whole ? load(p) : load(p, n);
      if (e.relu) v = max(vec<T>{}, v);
      whole ? store(p, v) : store(p, v, n);
    }
}

/// Finishes and stores a tile; the last of its V vectors may be partial. Every part of the epilogue is one
/// branch for the whole tile.
template <int R, int V, class T>
GRAM_INLINE void finish_tile(vec<T> (&sum)[R][V], Index rows, T* const* c, Index columns,
                             const TileEpilogue<T>& e) {
  if (columns < V * lanes<T>) {
    T copy[R * V * lanes<T>];
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) store(copy + (i * V + j) * lanes<T>, sum[i][j]);
    finish_ragged(copy, V * lanes<T>, rows, c, columns, e);
  } else {
    if (e.bias)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) {
        const vec<T> bias = load(e.bias + j * lanes<T>);
#pragma GCC unroll 12
        for (int i = 0; i < R; ++i) sum[i][j] += bias;
      }
    if (e.residual)
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i) {
        if (i >= rows) break;
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] += load(e.residual + (c[i] - e.base) + j * lanes<T>);
      }
    if (e.add)
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i) {
        if (i >= rows) break;
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] += load(c[i] + j * lanes<T>);
      }
    if (e.relu) {
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] = max(vec<T>{}, sum[i][j]);
    }
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) {
      if (i >= rows) break;
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) store(c[i] + j * lanes<T>, sum[i][j]);
    }
  }
  if (e.gelu) gelu_tile(rows, c, columns);
}

/// Calls f<R, V>() for the R rows and V vectors of the tile that `rows` and `columns` need, see
/// TileTable::height.
template <class T, class F>
GRAM_INLINE void choose_tile(Index rows, Index columns, F&& f) {
  constexpr int few = tile_vectors == 4 ? 12 : 6;
  const bool low = rows <= 4;
  if (columns <= lanes<T>) return low ? f.template operator()<4, 1>() : f.template operator()<12, 1>();
  if (columns <= 2 * lanes<T>) return low ? f.template operator()<4, 2>() : f.template operator()<few, 2>();
  if constexpr (tile_vectors == 4) {
    if (columns <= 3 * lanes<T>) return low ? f.template operator()<4, 3>() : f.template operator()<6, 3>();
    low ? f.template operator()<4, 4>() : f.template operator()<6, 4>();
  }
}

template <int R, int V, class T>
GRAM_KERNEL void product_tile(Index taps, const Index* offsets, Index k, const T* const* a, const T* panel,
                              Index rows, T* const* c, Index columns, const TileEpilogue<T>& e) {
  // The rows of C and of the residual are asked for while the sums are made, or the end of the tile would
  // wait for memory.
  for (Index i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(c[i] + j * lanes<T>, 1);
    if (e.residual)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) __builtin_prefetch(e.residual + (c[i] - e.base) + j * lanes<T>);
  }
  vec<T> sum[R][V] = {};
  for (Index t = 0; t < taps; ++t) {
    const T* row[R];
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) row[i] = a[i] + offsets[t];
    for (Index x = 0; x < k; ++x, panel += V * lanes<T>) {
      vec<T> b[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) b[j] = load(panel + j * lanes<T>);
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i) {
        const vec<T> value = splat<T>(row[i][x]);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] = fma(value, b[j], sum[i][j]);
      }
    }
  }
  finish_tile<R, V>(sum, rows, c, columns, e);
}

template <class T>
GRAM_KERNEL void tile_product(Index taps, const Index* offsets, Index k, const T* const* a, const T* panel,
                              Index rows, T* const* c, Index columns, const TileEpilogue<T>& e) {
  choose_tile<T>(rows, columns, [&]<int R, int V>() {
    product_tile<R, V>(taps, offsets, k, a, panel, rows, c, columns, e);
  });
}

template <int R, int V, class T>
GRAM_KERNEL void outer_tile(Index k, TileRows<T> x, TileRows<T> panel, TileRows<T> ahead, Index rows,
                            T* const* c, Index columns, const TileEpilogue<T>& e) {
  vec<T> sum[R][V] = {};
  for (; k > 0; --k, x.data += x.stride, panel.data += panel.stride, ahead.data += ahead.stride) {
    __builtin_prefetch(ahead.data, 0, 2);
    vec<T> b[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) b[j] = load(panel.data + j * lanes<T>);
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) {
      const vec<T> value = splat<T>(x.data[i]);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) sum[i][j] = fma(value, b[j], sum[i][j]);
    }
  }
  finish_tile<R, V>(sum, rows, c, columns, e);
}

template <class T>
GRAM_KERNEL void tile_outer(Index k, const TileRows<T>& x, const TileRows<T>& panel, const TileRows<T>& ahead,
                            Index rows, T* const* c, Index columns, const TileEpilogue<T>& e) {
  choose_tile<T>(rows, columns,
                 [&]<int R, int V>() { outer_tile<R, V>(k, x, panel, ahead, rows, c, columns, e); });
}

/// Transposes a block of 16-byte rows in registers: to[i * to_stride + j] = from[j * from_stride + i].
template <class T>
GRAM_INLINE void transpose_block(const T* from, Index from_stride, T* to, Index to_stride) {
  static_assert(sizeof(T) == 4);
  typedef T row __attribute__((vector_size(16), aligned(4), may_alias));
  const row a = *reinterpret_cast<const row*>(from), b = *reinterpret_cast<const row*>(from + from_stride);
  const row c = *reinterpret_cast<const row*>(from + 2 * from_stride);
  const row d = *reinterpret_cast<const row*>(from + 3 * from_stride);
  const row ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const row AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *reinterpret_cast<row*>(to) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *reinterpret_cast<row*>(to + to_stride) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  *reinterpret_cast<row*>(to + 2 * to_stride) = __builtin_shufflevector(AB, CD, 0, 1, 4, 5);
  *reinterpret_cast<row*>(to + 3 * to_stride) = __builtin_shufflevector(AB, CD, 2, 3, 6, 7);
}
GRAM_INLINE void transpose_block(const double* from, Index from_stride, double* to, Index to_stride) {
  typedef double row __attribute__((vector_size(16), aligned(8), may_alias));
  const row a = *reinterpret_cast<const row*>(from), b = *reinterpret_cast<const row*>(from + from_stride);
  *reinterpret_cast<row*>(to) = __builtin_shufflevector(a, b, 0, 2);
  *reinterpret_cast<row*>(to + to_stride) = __builtin_shufflevector(a, b, 1, 3);
}

/// to(i, j) = from(j, i) for i < rows, j < columns, in blocks that keep both sides in the L1 cache.
template <class T>
GRAM_KERNEL void transpose(Index rows, Index columns, const T* from, Index from_stride, T* to,
                           Index to_stride) {
  constexpr Index block = 16 / sizeof(T), chunk = 32;
  for (Index first = 0; first < rows; first += chunk) {
    const Index last = first + chunk < rows ? first + chunk : rows;
    Index j = 0;
    for (; j + block <= columns; j += block) {
      Index i = first;
      for (; i + block <= last; i += block)
        transpose_block(from + j * from_stride + i, from_stride, to + i * to_stride + j, to_stride);
      for (; i < last; ++i)
        for (Index jj = j; jj < j + block; ++jj) to[i * to_stride + jj] = from[jj * from_stride + i];
    }
    for (; j < columns; ++j)
      for (Index i = first; i < last; ++i) to[i * to_stride + j] = from[j * from_stride + i];
  }
}

template <class T>
GRAM_KERNEL void tile_pack(Index first, Index count, Index k, Index n, const T* b, Index k_stride,
                           Index n_stride, T* panels) {
  constexpr Index width = tile_vectors * lanes<T>;
  for (Index p = 0; p < n; p += width, b += width * n_stride) {
    const Index columns = n - p < width ? n - p : width, w = round_up(columns, lanes<T>);
    T* to = panels + p * k + first * w;
    if (n_stride == 1) {
      for (Index i = 0; i < count; ++i) {
        const T* from = b + i * k_stride;
        Index j = 0;
        for (; j + lanes<T> <= columns; j += lanes<T>) store(to + i * w + j, load(from + j));
        if (j < columns) store(to + i * w + j, load(from + j, columns - j));
      }
      continue;
    }
    if (k_stride == 1) {
      transpose(count, columns, b, n_stride, to, w);
    } else {
      for (Index i = 0; i < count; ++i)
        for (Index j = 0; j < columns; ++j) to[i * w + j] = b[i * k_stride + j * n_stride];
    }
    for (Index i = 0; i < count && columns < w; ++i)
      for (Index j = columns; j < w; ++j) to[i * w + j] = 0;
  }
}

template <int V, class T>
GRAM_INLINE void reduce_vectors(Index parts, const T* partial, Index stride, T* c, Index columns,
                                const TileEpilogue<T>& e) {
  vec<T> sum[1][V] = {};
  const Index rest = columns - (V - 1) * lanes<T>;
  for (Index p = 0; p < parts; ++p, partial += stride) {
#pragma GCC unroll 4
    for (int j = 0; j + 1 < V; ++j) sum[0][j] += load(partial + j * lanes<T>);
    const T* last = partial + (V - 1) * lanes<T>;
    sum[0][V - 1] += rest >= lanes<T> ? load(last) : load(last, rest);
  }
  finish_tile<1, V>(sum, 1, &c, columns, e);
}
template <class T>
GRAM_KERNEL void tile_reduce(Index parts, const T* partial, Index stride, T* c, Index columns,
                             const TileEpilogue<T>& e) {
  Index j = 0;
  for (; j + 4 * lanes<T> <= columns; j += 4 * lanes<T>)
    reduce_vectors<4>(parts, partial + j, stride, c + j, 4 * lanes<T>,
                      {e.bias ? e.bias + j : nullptr, e.add, e.relu, e.residual, e.base, e.gelu});
  for (; j < columns; j += lanes<T>) {
    const Index n = columns - j < lanes<T> ? columns - j : lanes<T>;
    reduce_vectors<1>(parts, partial + j, stride, c + j, n,
                      {e.bias ? e.bias + j : nullptr, e.add, e.relu, e.residual, e.base, e.gelu});
  }
}

template <class T>
inline constexpr TileTable<T> tile_kernels{lanes<T>,      tile_vectors* lanes<T>, tile_product<T>,
                                           tile_outer<T>, tile_pack<T>,           tile_reduce<T>};

}  // namespace gram::cpu::GRAM_ISA
