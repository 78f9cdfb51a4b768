// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

// The one-dimensional transforms of F(m, 3), from d[0 ..] to t[0 ..]. Each map says how many values it takes
// and gives. They are those of Lagrange interpolation at the points 0, +-a, +-b and infinity (m = 4) or 0,
// +-1 and infinity (m = 2); points of opposite sign share their even and odd parts.
template <int M, class T>
struct Winograd;

template <class T>
struct Winograd<2, T> {
  struct Input {
    static constexpr int in = 4, out = 4;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      t[0] = d[0] - d[2], t[1] = d[1] + d[2], t[2] = d[2] - d[1], t[3] = d[3] - d[1];
    }
  };
  struct Output {
    static constexpr int in = 4, out = 2;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      t[0] = d[0] + d[1] + d[2], t[1] = d[1] - d[2] + d[3];
    }
  };
  struct Gradient {
    static constexpr int in = 2, out = 4;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      t[0] = d[0], t[1] = d[0] + d[1], t[2] = d[0] - d[1], t[3] = d[1];
    }
  };
  struct Weight {
    static constexpr int in = 3, out = 4;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even = T(0.5) * (d[0] + d[2]), odd = T(0.5) * d[1];
      t[0] = d[0], t[1] = even + odd, t[2] = even - odd, t[3] = d[2];
    }
  };
  struct WeightGradient {
    static constexpr int in = 4, out = 3;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even = T(0.5) * (d[1] + d[2]);
      t[0] = d[0] + even, t[1] = T(0.5) * (d[1] - d[2]), t[2] = d[3] + even;
    }
  };
};

template <class T>
struct Winograd<4, T> {
  static constexpr T a = T(std::numbers::sqrt2 / 2), b = T(std::numbers::sqrt2), aa = T(0.5), bb = 2;
  static constexpr T at_a = 1 / (2 * aa * (aa - bb)), at_b = 1 / (2 * bb * (bb - aa));  // and 1 at 0

  struct Input {
    static constexpr int in = 6, out = 6;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even_a = d[4] - bb * d[2], odd_a = a * (d[3] - bb * d[1]);
      const vec<T> even_b = d[4] - aa * d[2], odd_b = b * (d[3] - aa * d[1]);
      t[0] = d[0] + (d[4] - (aa + bb) * d[2]);
      t[1] = even_a + odd_a, t[2] = even_a - odd_a;
      t[3] = even_b + odd_b, t[4] = even_b - odd_b;
      t[5] = d[1] + (d[5] - (aa + bb) * d[3]);
    }
  };
  struct Output {
    static constexpr int in = 6, out = 4;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even_a = d[1] + d[2], odd_a = a * (d[1] - d[2]);
      const vec<T> even_b = d[3] + d[4], odd_b = b * (d[3] - d[4]);
      t[0] = d[0] + even_a + even_b;
      t[1] = odd_a + odd_b;
      t[2] = aa * even_a + bb * even_b;
      t[3] = aa * odd_a + (bb * odd_b + d[5]);
    }
  };
  struct Gradient {
    static constexpr int in = 4, out = 6;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even_a = d[0] + aa * d[2], odd_a = a * (d[1] + aa * d[3]);
      const vec<T> even_b = d[0] + bb * d[2], odd_b = b * (d[1] + bb * d[3]);
      t[0] = d[0];
      t[1] = even_a + odd_a, t[2] = even_a - odd_a;
      t[3] = even_b + odd_b, t[4] = even_b - odd_b;
      t[5] = d[3];
    }
  };
  struct Weight {
    static constexpr int in = 3, out = 6;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even_a = at_a * (d[0] + aa * d[2]), odd_a = (at_a * a) * d[1];
      const vec<T> even_b = at_b * (d[0] + bb * d[2]), odd_b = (at_b * b) * d[1];
      t[0] = d[0];
      t[1] = even_a + odd_a, t[2] = even_a - odd_a;
      t[3] = even_b + odd_b, t[4] = even_b - odd_b;
      t[5] = d[2];
    }
  };
  struct WeightGradient {
    static constexpr int in = 6, out = 3;
    static GRAM_INLINE void apply(const vec<T>* d, vec<T>* t) {
      const vec<T> even_a = at_a * (d[1] + d[2]), even_b = at_b * (d[3] + d[4]);
      t[0] = d[0] + even_a + even_b;
      t[1] = (at_a * a) * (d[1] - d[2]) + (at_b * b) * (d[3] - d[4]);
      t[2] = aa * even_a + (bb * even_b + d[5]);
    }
  };
};

/// Applies a map to the columns of a tile, then to the rows of what comes out. from(y, x) and to(y, x, value)
/// read and write one vector of channels.
template <class Map, class T, class From, class To>
GRAM_INLINE void transform_tile(const From& from, const To& to) {
  vec<T> half[Map::out][Map::in];
  for (int x = 0; x < Map::in; ++x) {
    vec<T> d[Map::in], t[Map::out];
#pragma GCC unroll 6
    for (int y = 0; y < Map::in; ++y) d[y] = from(y, x);
    Map::apply(d, t);
#pragma GCC unroll 6
    for (int y = 0; y < Map::out; ++y) half[y][x] = t[y];
  }
  for (int y = 0; y < Map::out; ++y) {
    vec<T> t[Map::out];
    Map::apply(half[y], t);
#pragma GCC unroll 6
    for (int x = 0; x < Map::out; ++x) to(y, x, t[x]);
  }
}

/// A square of pixels of a map, or of taps of a kernel: n <= lanes channels of each. Pixels outside the map
/// read as zero. Whole: every pixel and every channel of a vector exists.
template <bool Whole, class T>
struct PixelSquare {
  const T* x;  // pixel (0, 0)
  Index line, pixel, channels;
  Index top, bottom, left, right;  // the pixels that exist

  GRAM_INLINE vec<T> operator()(Index i, Index j) const {
    const T* const p = x + i * line + j * pixel;
    if constexpr (Whole) return load(p);
    return i >= top && i < bottom && j >= left && j < right ? load_first(p, channels) : vec<T>{};
  }
};

template <int N, class T>
struct PlaneReader {
  const T* p;
  Index plane;
  GRAM_INLINE vec<T> operator()(Index i, Index j) const { return load(p + (i * N + j) * plane); }
};
template <int N, class T>
struct PlaneWriter {
  T* p;
  Index plane;
  GRAM_INLINE void operator()(Index i, Index j, vec<T> v) const { store(p + (i * N + j) * plane, v); }
};

/// Finishes output pixels; those beyond the map are dropped.
template <bool Whole, class T>
struct PixelWriter {
  T* y;  // pixel (0, 0)
  const T* residual;
  vec<T> bias;
  bool relu;
  Index line, pixel, channels, bottom, right;

  GRAM_INLINE void operator()(Index i, Index j, vec<T> v) const {
    if (!Whole && (i >= bottom || j >= right)) return;
    const Index at = i * line + j * pixel;
    v += bias;
    if (residual) v += Whole ? load(residual + at) : load_first(residual + at, channels);
    if (relu) v = max(vec<T>{}, v);
    if constexpr (Whole)
      store(y + at, v);
    else
      put(y + at, v, channels, false);
  }
};

/// dw (+)= a gradient, tap by tap.
template <class T>
struct TapWriter {
  T* dw;
  Index tap, channels;
  bool add;
  GRAM_INLINE void operator()(Index i, Index j, vec<T> v) const {
    put(dw + (i * 3 + j) * tap, v, channels, add);
  }
};

/// Where tile t of a grid lies.
struct TilePlace {
  Index image, y, x;
};
template <int M>
GRAM_INLINE TilePlace tile_place(const WinogradGrid& g, Index t) {
  const Index each = g.rows * g.columns;
  return {t / each, g.top + t % each / g.columns * M, g.left + t % g.columns * M};
}

/// Squares of a map -> planes, through Map.
template <class Map, int M, class T>
GRAM_KERNEL void winograd_gather(const WinogradGrid& g, Index first, Index count, const T* x,
                                 const WinogradPlanes<T>& to) {
  constexpr int N = Map::in;
  for (Index t = 0; t < count; ++t) {
    const TilePlace at = tile_place<M>(g, first + t);
    const T* const corner = x + ((at.image * g.h + at.y) * g.w + at.x) * g.c;
    const Index top = -at.y, bottom = g.h - at.y, left = -at.x, right = g.w - at.x;
    const bool inside = top <= 0 && left <= 0 && bottom >= N && right >= N;
    for (Index k = 0; k < g.c; k += lanes<T>) {
      const Index channels = g.c - k < lanes<T> ? g.c - k : lanes<T>;
      const PlaneWriter<Map::out, T> planes{to.data + t * to.row + k, to.plane};
      if (inside && channels == lanes<T>)
        transform_tile<Map, T>(PixelSquare<true, T>{corner + k, g.w * g.c, g.c, channels, 0, 0, 0, 0},
                               planes);
      else
        transform_tile<Map, T>(
            PixelSquare<false, T>{corner + k, g.w * g.c, g.c, channels, top, bottom, left, right}, planes);
    }
  }
}

/// Planes -> squares of a map, with the epilogue.
template <int M, class T>
GRAM_KERNEL void winograd_output(const WinogradGrid& g, Index first, Index count,
                                 const WinogradPlanes<const T>& from, const Conv2dEpilogue<T>& e, T* y) {
  using Map = typename Winograd<M, T>::Output;
  for (Index t = 0; t < count; ++t) {
    const TilePlace at = tile_place<M>(g, first + t);
    const Index corner = ((at.image * g.h + at.y) * g.w + at.x) * g.c, bottom = g.h - at.y,
                right = g.w - at.x;
    for (Index k = 0; k < g.c; k += lanes<T>) {
      const Index channels = g.c - k < lanes<T> ? g.c - k : lanes<T>, start = corner + k;
      const vec<T> bias = e.bias ? load_first(e.bias + k, channels) : vec<T>{};
      const T* const residual = e.residual ? e.residual + start : nullptr;
      const PlaneReader<M + 2, T> planes{from.data + t * from.row + k, from.plane};
      if (bottom >= M && right >= M && channels == lanes<T>)
        transform_tile<Map, T>(
            planes, PixelWriter<true, T>{y + start, residual, bias, e.relu, g.w * g.c, g.c, channels, M, M});
      else
        transform_tile<Map, T>(planes, PixelWriter<false, T>{y + start, residual, bias, e.relu, g.w * g.c,
                                                             g.c, channels, bottom, right});
    }
  }
}

template <int M, class T>
GRAM_KERNEL void winograd_weight(Index count, Index channels, const WinogradTaps<const T>& w,
                                 const WinogradPlanes<T>& to) {
  using Map = typename Winograd<M, T>::Weight;
  for (Index i = 0; i < count; ++i)
    for (Index k = 0; k < channels; k += lanes<T>) {
      const Index n = channels - k < lanes<T> ? channels - k : lanes<T>;
      const T* const taps = w.data + i * w.kernel + k;
      const PlaneWriter<M + 2, T> planes{to.data + i * to.row + k, to.plane};
      if (n == lanes<T>)
        transform_tile<Map, T>(PixelSquare<true, T>{taps, 3 * w.tap, w.tap, n, 0, 3, 0, 3}, planes);
      else
        transform_tile<Map, T>(PixelSquare<false, T>{taps, 3 * w.tap, w.tap, n, 0, 3, 0, 3}, planes);
    }
}

template <int M, class T>
GRAM_KERNEL void winograd_weight_gradient(Index count, Index channels, const WinogradPlanes<const T>& from,
                                          const WinogradTaps<T>& dw, bool add) {
  using Map = typename Winograd<M, T>::WeightGradient;
  for (Index i = 0; i < count; ++i)
    for (Index k = 0; k < channels; k += lanes<T>) {
      const Index n = channels - k < lanes<T> ? channels - k : lanes<T>;
      transform_tile<Map, T>(PlaneReader<M + 2, T>{from.data + i * from.row + k, from.plane},
                             TapWriter<T>{dw.data + i * dw.kernel + k, dw.tap, n, add});
    }
}

template <int M, class T>
inline constexpr WinogradTransforms<T> winograd_transforms{
    winograd_gather<typename Winograd<M, T>::Input, M, T>, winograd_output<M, T>,
    winograd_gather<typename Winograd<M, T>::Gradient, M, T>, winograd_weight<M, T>,
    winograd_weight_gradient<M, T>};
template <class T>
inline constexpr WinogradTable<T> winograd_kernels{winograd_transforms<2, T>, winograd_transforms<4, T>};

}  // namespace gram::cpu::GRAM_ISA
