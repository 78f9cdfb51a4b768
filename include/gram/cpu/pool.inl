// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// Integers as wide as the elements of vec<T>, the type of comparisons; in memory they are 32 bits wide.
template <class T>
using vec_pick = decltype(vec<T>{} < vec<T>{});
template <class T>
struct StoredPick {
  typedef std::int32_t type __attribute__((vector_size(4 * lanes<T>)));
  typedef std::int32_t unaligned __attribute__((vector_size(4 * lanes<T>), aligned(4), may_alias));
};

template <class T>
GRAM_INLINE vec_pick<T> splat_pick(Index number) {
  return vec_pick<T>{} + static_cast<std::remove_cvref_t<decltype(vec_pick<T>{}[0])>>(number);
}
template <bool Whole, class T>
GRAM_INLINE vec_pick<T> load_pick(const std::int32_t* p, Index n) {
  std::int32_t buffer[lanes<T>];
  if constexpr (!Whole) {
    for (Index i = 0; i < lanes<T>; ++i) buffer[i] = i < n ? p[i] : -1;
    p = buffer;
  }
  const typename StoredPick<T>::type stored = *reinterpret_cast<const typename StoredPick<T>::unaligned*>(p);
  return __builtin_convertvector(stored, vec_pick<T>);
}
template <bool Whole, class T>
GRAM_INLINE void store_pick(std::int32_t* p, vec_pick<T> v, Index n) {
  if constexpr (Whole) {
    *reinterpret_cast<typename StoredPick<T>::unaligned*>(p) =
        __builtin_convertvector(v, typename StoredPick<T>::type);
  } else {
    for (Index i = 0; i < n; ++i) p[i] = static_cast<std::int32_t>(v[i]);
  }
}
template <bool Whole, class T>
GRAM_INLINE vec<T> pool_load(const T* p, Index n) {
  if constexpr (Whole)
    return load(p);
  else
    return load(p, n);
}

/// V vectors of one output position, the maximum over positions [i0, i1) x [j0, j1) of its window, which
/// starts at x. Later equal values do not win, a NaN does, as in PyTorch.
template <int V, bool Whole, bool Pick, class T>
GRAM_INLINE void max_pool_strip(const T* x, const PoolWindows& s, Index C, Index i0, Index i1, Index j0,
                                Index j1, Index n, T* y, std::int32_t* picks) {
  constexpr Index L = lanes<T>;
  vec<T> best[V];
  vec_pick<T> pick[V];
  for (int v = 0; v < V; ++v) {
    best[v] = pool_load<Whole>(x + (i0 * s.w + j0) * C + v * L, n);
    pick[v] = splat_pick<T>(i0 * s.kernel_w + j0);
  }
  for (Index i = i0; i < i1; ++i)
    for (Index j = j0; j < j1; ++j) {
      const vec_pick<T> number = splat_pick<T>(i * s.kernel_w + j);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const vec<T> value = pool_load<Whole>(x + (i * s.w + j) * C + v * L, n);
        const vec_pick<T> better = (value > best[v]) | (value != value);
        best[v] = better ? value : best[v];
        if constexpr (Pick) pick[v] = better ? number : pick[v];
      }
    }
  for (int v = 0; v < V; ++v) {
    if constexpr (Whole)
      store(y + v * L, best[v]);
    else
      store(y + v * L, best[v], n);
    if constexpr (Pick) store_pick<Whole, T>(picks + v * L, pick[v], n);
  }
}
template <bool Pick, class T>
GRAM_INLINE void max_pool_row_of(const T* x, const PoolWindows& s, Index C, Index out_row, T* y,
                                 std::int32_t* picks) {
  constexpr Index L = lanes<T>;
  const Index h = out_row * s.stride_h - s.pad_h;
  const Index i0 = h < 0 ? -h : 0, i1 = h + s.kernel_h > s.h ? s.h - h : s.kernel_h;
  for (Index o = 0; o < s.out_w; ++o) {
    const Index w = o * s.stride_w - s.pad_w;
    const Index j0 = w < 0 ? -w : 0, j1 = w + s.kernel_w > s.w ? s.w - w : s.kernel_w;
    const T* const p = x + (h * s.w + w) * C;
    Index c = 0;
    for (; c + 4 * L <= C; c += 4 * L)
      max_pool_strip<4, true, Pick>(p + c, s, C, i0, i1, j0, j1, L, y + o * C + c,
                                    Pick ? picks + o * C + c : nullptr);
    for (; c + L <= C; c += L)
      max_pool_strip<1, true, Pick>(p + c, s, C, i0, i1, j0, j1, L, y + o * C + c,
                                    Pick ? picks + o * C + c : nullptr);
    if (c < C)
      max_pool_strip<1, false, Pick>(p + c, s, C, i0, i1, j0, j1, C - c, y + o * C + c,
                                     Pick ? picks + o * C + c : nullptr);
  }
}
/// One output row (W', C) of an image x (H, W, C); picks, when not null, the number of the chosen position in
/// each window.
template <class T>
GRAM_KERNEL void max_pool_row(const T* x, const PoolWindows& s, Index C, Index out_row, T* y,
                              std::int32_t* picks) {
  if (picks)
    max_pool_row_of<true>(x, s, C, out_row, y, picks);
  else
    max_pool_row_of<false>(x, s, C, out_row, y, picks);
}

template <bool Whole, class T>
GRAM_INLINE void max_pool_grad_strip(const T* dy, const std::int32_t* picks, const PoolWindows& s, Index C,
                                     Index h, Index w, Index n, T* dx, bool add) {
  const Index o0 = s.first_window(h + s.pad_h, s.kernel_h, s.stride_h), o1 = (h + s.pad_h) / s.stride_h;
  const Index p0 = s.first_window(w + s.pad_w, s.kernel_w, s.stride_w), p1 = (w + s.pad_w) / s.stride_w;
  vec<T> total = {};
  for (Index o = o0; o <= o1 && o < s.out_h; ++o)
    for (Index p = p0; p <= p1 && p < s.out_w; ++p) {
      const Index number = (h + s.pad_h - o * s.stride_h) * s.kernel_w + w + s.pad_w - p * s.stride_w;
      const Index at = (o * s.out_w + p) * C;
      total += load_pick<Whole, T>(picks + at, n) == splat_pick<T>(number) ? pool_load<Whole>(dy + at, n)
                                                                           : vec<T>{};
    }
  if (add) total += pool_load<Whole>(dx, n);
  if constexpr (Whole)
    store(dx, total);
  else
    store(dx, total, n);
}
/// One input row (W, C) of the gradient: each position gathers from the windows that chose it.
template <class T>
GRAM_KERNEL void max_pool_grad_row(const T* dy, const std::int32_t* picks, const PoolWindows& s, Index C,
                                   Index row, T* dx, bool add) {
  constexpr Index L = lanes<T>;
  for (Index w = 0; w < s.w; ++w, dx += C) {
    Index c = 0;
    for (; c + L <= C; c += L) max_pool_grad_strip<true>(dy + c, picks + c, s, C, row, w, L, dx + c, add);
    if (c < C) max_pool_grad_strip<false>(dy + c, picks + c, s, C, row, w, C - c, dx + c, add);
  }
}

template <class T>
inline constexpr PoolTable<T> pool_kernels{max_pool_row<T>, max_pool_grad_row<T>};

}  // namespace gram::cpu::GRAM_ISA
