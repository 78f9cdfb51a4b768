// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

template <class T>
GRAM_KERNEL void conv2d_gather(Index pixels, Index n, const T* x, Index x_step, Index width, T* y,
                               Index y_step) {
  for (Index p = 0; p < pixels; ++p, x += x_step, y += y_step) {
    Index i = n;
    if (n >= lanes<T>) {
      for (i = 0; i + lanes<T> <= n; i += lanes<T>) store(y + i, load(x + i));
      if (i < n) store(y + n - lanes<T>, load(x + n - lanes<T>));
      i = n;
    } else {
      for (i = 0; i < n; ++i) y[i] = x[i];
    }
    for (; i < width; ++i) y[i] = 0;
  }
}

/// Whole vectors are copied; what comes after a kernel row is overwritten by the next one.
template <class T>
GRAM_KERNEL void conv2d_unfold(const PatchRow<T>& source, Index pixels, Index rows, Index n, T* y) {
  for (Index p = 0; p < pixels; ++p)
    for (Index a = 0; a < rows; ++a, y += n) {
      const T* from = source.x + p * source.step + a * source.row;
      for (Index i = 0; i < n; i += lanes<T>) store(y + i, load(from + i));
    }
}

/// Rows of the tile that is V vectors wide: as many sums as the registers hold. All divide
/// PixelProduct::strip.
template <int V>
inline constexpr int pixel_rows = GRAM_BYTES == 64 ? (V == 4   ? 6
                                                      : V == 3 ? 8
                                                               : 12)
                                                   : (V == 3   ? 4
                                                      : V == 2 ? 6
                                                               : 12);
inline constexpr int pixel_vectors = GRAM_BYTES == 64 ? 4 : 3;

/// Stores columns [skip, count) of a tile, sum (rows, stride). Not inlined: its code would be repeated for
/// every tile.
template <class T>
GRAM_KERNEL __attribute__((noinline)) void pixel_store(const T* sum, Index stride, Index rows, T* c,
                                                       Index ldc, Index skip, Index count, bool add) {
  for (Index i = 0; i < rows; ++i, sum += stride, c += ldc)
    for (Index j = skip; j < stride && j < count; ++j) c[j] = add ? c[j] + sum[j] : sum[j];
}

/// Columns [skip, count) of one tile. The last tile of a row of tiles starts early to end with the last
/// column, so it computes some columns twice; they are not stored again.
template <int V, class T>
GRAM_KERNEL void pixel_tile(const PixelProduct<T>& s, const T* dy, const T* x, Index rows, T* c, Index ldc,
                            Index skip, Index count, bool add) {
  constexpr int R = pixel_rows<V>;
  vec<T> sum[R][V] = {};
  for (Index r = 0; r < s.rows; ++r) {
    const T* p = x + s.row[r];
    for (Index k = 0; k < s.width; ++k, p += s.step, dy += PixelProduct<T>::strip) {
      vec<T> b[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) b[j] = load(p + j * lanes<T>);
#pragma GCC unroll 12
      for (int i = 0; i < R; ++i) {
        const vec<T> value = splat<T>(dy[i]);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) sum[i][j] = fma(value, b[j], sum[i][j]);
      }
    }
  }
  constexpr Index width = V * lanes<T>;
  if (skip == 0 && count >= width && rows >= R && !add) {
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) store(c + i * ldc + j * lanes<T>, sum[i][j]);
  } else {
    T copy[R * width];
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) store(copy + i * width + j * lanes<T>, sum[i][j]);
    pixel_store(copy, width, rows < R ? rows : R, c, ldc, skip, count, add);
  }
}

template <int V, class T>
GRAM_KERNEL void pixel_panel(const PixelProduct<T>& s, Index m, Index n, Index j, T* c, Index ldc, bool add) {
  constexpr Index width = V * lanes<T>, strip = PixelProduct<T>::strip;
  const Index first = n < width ? 0 : j + width > n ? n - width : j;
  for (Index i = 0; i < m; i += pixel_rows<V>)
    pixel_tile<V>(s, s.dy + i / strip * s.pixels() * strip + i % strip, s.x + first, m - i,
                  c + i * ldc + first, ldc, j - first, n - first, add);
}

template <class T>
GRAM_KERNEL void conv2d_pixel_product(const PixelProduct<T>& s, Index m, Index n, T* c, Index ldc, bool add) {
  for (Index j = 0; j < n;) {
    const Index left = ceil_div(n - j, lanes<T>);
    Index v = left < pixel_vectors ? left : pixel_vectors;
    if (GRAM_BYTES == 64 ? left % 3 == 0 || left == 5 : left == 4) v = GRAM_BYTES == 64 ? 3 : 2;
    if (v == 1) pixel_panel<1>(s, m, n, j, c, ldc, add);
    if (v == 2) pixel_panel<2>(s, m, n, j, c, ldc, add);
    if (v == 3) pixel_panel<3>(s, m, n, j, c, ldc, add);
    if constexpr (pixel_vectors == 4) {
      if (v == 4) pixel_panel<4>(s, m, n, j, c, ldc, add);
    }
    j += v * lanes<T>;
  }
}

template <class T>
inline constexpr Conv2dTable<T> conv2d_kernels{lanes<T>, pixel_vectors* lanes<T>, conv2d_gather<T>,
                                               conv2d_unfold<T>, conv2d_pixel_product<T>};

}  // namespace gram::cpu::GRAM_ISA
