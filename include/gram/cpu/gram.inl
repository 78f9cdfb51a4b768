// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Moves the upper triangle of G (g, g), times scale, row after row to the front of its memory; returns its
/// sum of squares.
template <class A>
GRAM_KERNEL double pack_triangle(Index g, A scale, A* G) {
  double squares = 0;
  A* v = G;
  for (Index a = 0; a < g; ++a) {
    const A* row = G + a * g + a;
    const Index n = g - a;
    vec<A> total = {};
    Index b = 0;
    for (; b + lanes<A> <= n; b += lanes<A>) {  // v <= row, so nothing is overwritten before it is read
      const vec<A> x = load(row + b) * scale;
      total = fma(x, x, total);
      store(v + b, x);
    }
    if (b < n) {
      const vec<A> x = load(row + b, n - b) * scale;
      total = fma(x, x, total);
      store(v + b, x, n - b);
    }
    squares += static_cast<double>(sum(total));
    v += n;
  }
  return squares;
}

/// S (g, g) = V + V^T, V the upper triangular matrix with the entries v, row after row.
template <class A>
GRAM_KERNEL void unpack_triangle(Index g, const A* v, A* S) {
  for (Index a = 0; a < g; v += g - a, ++a) {
    std::memcpy(S + a * g + a, v, static_cast<std::size_t>(g - a) * sizeof(A));
    S[a * g + a] *= 2;
  }
  constexpr Index tile = 16;  // a tile's columns stay in the L1 cache while its rows are written
  for (Index a = 0; a < g; a += tile)
    for (Index b = 0; b <= a; b += tile)
      for (Index i = a; i < (a + tile < g ? a + tile : g); ++i)
        for (Index j = b; j < (b + tile < i ? b + tile : i); ++j) S[i * g + j] = S[j * g + i];
}

template <class A>
inline constexpr GramTable<A> gram_kernels{pack_triangle<A>, unpack_triangle<A>};

}  // namespace gram::cpu::GRAM_ISA
