// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Rows of a tile, 8 x 3 sums with AVX-512 and 4 x 3 with the 16 registers of the others.
inline constexpr Index thin_tall = GRAM_BYTES == 64 ? 8 : 4;

/// x and y folded once, in one vector: lane i holds x[i] + x[i + distance], or, where i has the bit
/// `distance`, y[i - distance] + y[i].
template <int distance, class V, int... I>
GRAM_INLINE V folded_pair(V x, V y, std::integer_sequence<int, I...>) {
  constexpr int n = static_cast<int>(sizeof...(I));
  return __builtin_shufflevector(x, y, ((I & distance) ? n + I - distance : I)...) +
         __builtin_shufflevector(x, y, ((I & distance) ? n + I : I + distance)...);
}
/// The sums of the lanes of R vectors, with the bits of sum(), that of vector r in lane r lanes / R. R is a
/// power of two up to the lanes. One by one they would take some R times as many shuffles.
template <int R, int distance, class V>
GRAM_INLINE V folded(const V* v) {
  constexpr auto lane = std::make_integer_sequence<int, static_cast<int>(GRAM_BYTES / sizeof(v[0][0]))>{};
  if constexpr (distance == 0) {
    return v[0];
  } else {
    constexpr int left = R > 1 ? R / 2 : 1;
    V half[left];
#pragma GCC unroll 4
    for (int i = 0; i < left; ++i)
      half[i] =
          R > 1 ? folded_pair<distance>(v[i], v[R / 2 + i], lane) : v[i] + rotated<distance>(v[i], lane);
    return folded<left, distance / 2>(half);
  }
}

/// v in a register. Without this, compilers load it again for each of its multiplications, and the processor
/// has no time for so many loads.
template <class V>
GRAM_INLINE V held(V v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
  return v;
}

/// c(i, j) = <row i of a, row j of b> [+ c(i, j)], i < R, j < W; the next W rows of b are asked for
/// meanwhile.
template <int R, int W, class A>
GRAM_INLINE void dots_tile(Index k, const A* a, Index lda, const A* b, Index ldb, bool add, A* c, Index ldc) {
  vec<A> total[R][W] = {};
  Index x = 0;
  for (; x + lanes<A> <= k; x += lanes<A>) {
    vec<A> w[W];
#pragma GCC unroll 3
    for (int j = 0; j < W; ++j) {
      w[j] = load(b + j * ldb + x);
      __builtin_prefetch(b + (j + W) * ldb + x);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const vec<A> v = held(load(a + i * lda + x));
#pragma GCC unroll 3
      for (int j = 0; j < W; ++j) total[i][j] = fma(v, w[j], total[i][j]);
    }
  }
  if (x < k) {
    vec<A> w[W];
#pragma GCC unroll 3
    for (int j = 0; j < W; ++j) w[j] = load(b + j * ldb + x, k - x);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const vec<A> v = load(a + i * lda + x, k - x);
#pragma GCC unroll 3
      for (int j = 0; j < W; ++j) total[i][j] = fma(v, w[j], total[i][j]);
    }
  }
  constexpr int n = static_cast<int>(lanes<A>);
#pragma GCC unroll 3
  for (int j = 0; j < W; ++j) {
    vec<A> column[R];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) column[i] = total[i][j];
    if constexpr (R <= n) {
      A sums[n];
      store(sums, folded<R, n / 2>(column));
      for (int i = 0; i < R; ++i)
        c[i * ldc + j] = add ? c[i * ldc + j] + sums[i * (n / R)] : sums[i * (n / R)];
    } else {
      for (int i = 0; i < R; ++i) c[i * ldc + j] = add ? c[i * ldc + j] + sum(column[i]) : sum(column[i]);
    }
  }
}
template <int W, class A>
GRAM_INLINE void dots_strip(Index m, Index k, const A* a, Index lda, const A* b, Index ldb, bool add, A* c,
                            Index ldc) {
  Index i = 0;
  for (; i + thin_tall <= m; i += thin_tall)
    dots_tile<thin_tall, W>(k, a + i * lda, lda, b, ldb, add, c + i * ldc, ldc);
  if (thin_tall == 8 && i + 4 <= m)
    dots_tile<4, W>(k, a + i * lda, lda, b, ldb, add, c + i * ldc, ldc), i += 4;
  if (i + 2 <= m) dots_tile<2, W>(k, a + i * lda, lda, b, ldb, add, c + i * ldc, ldc), i += 2;
  if (i < m) dots_tile<1, W>(k, a + i * lda, lda, b, ldb, add, c + i * ldc, ldc);
}
/// C (m, n) = A (m, k) B (n, k)^T. Of long rows, parts are multiplied, so that those of A stay in the L1
/// cache while B passes.
template <class A>
GRAM_KERNEL void thin_dots(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb, A* c,
                           Index ldc) {
  constexpr Index most = 4096 / sizeof(A);
  const Index parts = k > most ? ceil_div(k, most) : 1, part = round_up(ceil_div(k, parts), lanes<A>);
  for (Index p = 0, x = 0; p < parts; ++p, x += part) {
    const Index count = k - x < part ? k - x : part;
    Index j = 0;
    for (; j + 3 <= n; j += 3) dots_strip<3>(m, count, a + x, lda, b + j * ldb + x, ldb, x > 0, c + j, ldc);
    for (; j < n; ++j) dots_strip<1>(m, count, a + x, lda, b + j * ldb + x, ldb, x > 0, c + j, ldc);
  }
}

/// R rows and V vectors of C += A B; the last vector has `last` elements. The lines behind are asked for.
template <int R, int V, class A>
GRAM_INLINE void mix_tile(Index k, const A* a, Index lda, const A* b, Index ldb, A* c, Index ldc,
                          Index last) {
  vec<A> sum[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 3
    for (int j = 0; j < V; ++j) {
      const A* from = c + i * ldc + j * lanes<A>;
      sum[i][j] = j + 1 < V || last == lanes<A> ? load(from) : load(from, last);
    }
  for (Index x = 0; x < k; ++x, b += ldb) {
    vec<A> row[V];
#pragma GCC unroll 3
    for (int j = 0; j < V; ++j) {
      row[j] = j + 1 < V || last == lanes<A> ? load(b + j * lanes<A>) : load(b + j * lanes<A>, last);
      __builtin_prefetch(b + (j + V) * lanes<A>);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const vec<A> v = splat<A>(a[i * lda + x]);
#pragma GCC unroll 3
      for (int j = 0; j < V; ++j) sum[i][j] = fma(v, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 3
    for (int j = 0; j < V; ++j) {
      A* const to = c + i * ldc + j * lanes<A>;
      j + 1 < V || last == lanes<A> ? store(to, sum[i][j]) : store(to, sum[i][j], last);
    }
}
template <int V, class A>
GRAM_INLINE void mix_strip(Index m, Index k, const A* a, Index lda, const A* b, Index ldb, A* c, Index ldc,
                           Index last) {
  Index i = 0;
  for (; i + thin_tall <= m; i += thin_tall)
    mix_tile<thin_tall, V>(k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, last);
  if (thin_tall == 8 && i + 4 <= m)
    mix_tile<4, V>(k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, last), i += 4;
  for (; i < m; ++i) mix_tile<1, V>(k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, last);
}
/// C (m, n) += A (m, k) B (k, n), a few rows of B at a time, which are read from end to end.
template <class A>
GRAM_KERNEL void thin_mix(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb, A* c,
                          Index ldc) {
  constexpr Index slice = 32, width = 3 * lanes<A>;
  for (Index x = 0; x < k; x += slice, a += slice, b += slice * ldb) {
    const Index count = k - x < slice ? k - x : slice;
    Index j = 0;
    for (; j + width <= n; j += width) mix_strip<3>(m, count, a, lda, b + j, ldb, c + j, ldc, lanes<A>);
    for (; j < n; j += lanes<A>)
      mix_strip<1>(m, count, a, lda, b + j, ldb, c + j, ldc, n - j < lanes<A> ? n - j : lanes<A>);
  }
}

/// R rows and V vectors of C = A^T B [+ C]; the last vector has `last` elements.
template <int R, int V, class A>
GRAM_INLINE void spread_tile(Index k, const A* a, Index lda, const A* b, Index ldb, bool add, A* c, Index ldc,
                             Index last) {
  vec<A> sum[R][V] = {};
  if (add)
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j)
        sum[i][j] = j + 1 < V || last == lanes<A> ? load(c + i * ldc + j * lanes<A>)
                                                  : load(c + i * ldc + j * lanes<A>, last);
  for (Index x = 0; x < k; ++x) {
    vec<A> row[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j)
      row[j] = j + 1 < V || last == lanes<A> ? load(b + x * ldb + j * lanes<A>)
                                             : load(b + x * ldb + j * lanes<A>, last);
#pragma GCC unroll 6
    for (int i = 0; i < R; ++i) {
      const vec<A> v = splat<A>(a[x * lda + i]);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) sum[i][j] = fma(v, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      A* const to = c + i * ldc + j * lanes<A>;
      j + 1 < V || last == lanes<A> ? store(to, sum[i][j]) : store(to, sum[i][j], last);
    }
}
template <int R, class A>
GRAM_INLINE void spread_strip(Index n, Index k, const A* a, Index lda, const A* b, Index ldb, bool add, A* c,
                              Index ldc) {
  constexpr int vectors = GRAM_BYTES == 64 ? 4 : 2;
  constexpr Index width = vectors * lanes<A>;
  Index j = 0;
  for (; j + width <= n; j += width)
    spread_tile<R, vectors>(k, a, lda, b + j, ldb, add, c + j, ldc, lanes<A>);
  for (; j < n; j += lanes<A>)
    spread_tile<R, 1>(k, a, lda, b + j, ldb, add, c + j, ldc, n - j < lanes<A> ? n - j : lanes<A>);
}
/// C (m, n) = A (k, m)^T B (k, n), added to C on request
template <class A>
GRAM_KERNEL void thin_spread(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb,
                             bool add, A* c, Index ldc) {
  Index i = 0;
  for (; i + 6 <= m; i += 6) spread_strip<6>(n, k, a + i, lda, b, ldb, add, c + i * ldc, ldc);
  for (; i < m; ++i) spread_strip<1>(n, k, a + i, lda, b, ldb, add, c + i * ldc, ldc);
}

template <class A>
inline constexpr ThinTable<A> thin_kernels{thin_dots<A>, thin_mix<A>, thin_spread<A>};

}  // namespace gram::cpu::GRAM_ISA
