// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// y (rows, cols) = scale x; rows lie ldx and ldy apart.
template <class T>
GRAM_KERNEL void gather_rows(Index rows, Index cols, const T* x, Index ldx, accum_t<T> scale, accum_t<T>* y,
                             Index ldy) {
  const vec<T> s = splat<T>(scale);
  for (Index i = 0; i < rows; ++i, x += ldx, y += ldy) {
    Index j = 0;
    for (; j + lanes<T> <= cols; j += lanes<T>) store(y + j, load(x + j) * s);
    if (j < cols) store(y + j, load(x + j, cols - j) * s, cols - j);
  }
}

/// y (rows, cols) = scale x, added to y on request.
template <class T>
GRAM_KERNEL void scatter_rows(Index rows, Index cols, const accum_t<T>* x, Index ldx, accum_t<T> scale, T* y,
                              Index ldy, bool add) {
  const vec<T> s = splat<T>(scale);
  for (Index i = 0; i < rows; ++i, x += ldx, y += ldy) {
    Index j = 0;
    for (; j + lanes<T> <= cols; j += lanes<T>) {
      const vec<T> v = load(x + j) * s;
      store(y + j, add ? load(y + j) + v : v);
    }
    if (j < cols) {
      const vec<T> v = load(x + j, cols - j) * s;
      store(y + j, add ? load(y + j, cols - j) + v : v, cols - j);
    }
  }
}

/// Softmax of the first n entries of each row, in place; the other ld - n entries become 0, and lse (if asked
/// for) the logarithm of the sum of exponentials.
template <class A>
GRAM_KERNEL void softmax_rows(Index rows, Index n, Index ld, A* s, A* lse) {
  for (Index i = 0; i < rows; ++i, s += ld) {
    for (Index j = n; j < ld; ++j) s[j] = std::numeric_limits<A>::lowest();
    vec<A> top = load(s);
    for (Index j = lanes<A>; j < ld; j += lanes<A>) top = max(top, load(s + j));
    const A largest = max_lane(top);
    vec<A> total = {};
    for (Index j = 0; j < ld; j += lanes<A>) {
      const vec<A> e = exp(load(s + j) - largest);
      store(s + j, e);
      total += e;
    }
    const A all = sum(total), inverse = 1 / all;
    for (Index j = 0; j < ld; j += lanes<A>) store(s + j, load(s + j) * inverse);
    if (lse) lse[i] = largest + std::log(all);
  }
}

/// The gradient of softmax: dp <- p (dp - sum p dp). s holds p; or, if lse is given, the scores, and becomes
/// exp(s - lse).
template <class A>
GRAM_KERNEL void softmax_rows_grad(Index rows, Index n, Index ld, const A* lse, A* s, A* dp) {
  for (Index i = 0; i < rows; ++i, s += ld, dp += ld) {
    for (Index j = n; j < ld; ++j) s[j] = lse ? std::numeric_limits<A>::lowest() : 0, dp[j] = 0;
    vec<A> dot = {};
    for (Index j = 0; j < ld; j += lanes<A>) {
      vec<A> p = load(s + j);
      if (lse) store(s + j, p = exp(p - lse[i]));
      dot = fma(p, load(dp + j), dot);
    }
    const A mean = sum(dot);
    for (Index j = 0; j < ld; j += lanes<A>) store(dp + j, load(s + j) * (load(dp + j) - mean));
  }
}

template <class T>
inline constexpr AttentionTable<T> attention_kernels{gather_rows<T>, scatter_rows<T>,
                                                     softmax_rows<accum_t<T>>, softmax_rows_grad<accum_t<T>>};

}  // namespace gram::cpu::GRAM_ISA
