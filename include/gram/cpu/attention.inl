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

/// Softmax of the first n entries of each row, in place; the other ld - n entries become 0.
template <class A>
GRAM_KERNEL void softmax_rows(Index rows, Index n, Index ld, A* s) {
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
    const A inverse = 1 / sum(total);
    for (Index j = 0; j < ld; j += lanes<A>) store(s + j, load(s + j) * inverse);
  }
}

/// The gradient of softmax: dp <- p (dp - sum p dp), s holds p.
template <class A>
GRAM_KERNEL void softmax_rows_grad(Index rows, Index n, Index ld, A* s, A* dp) {
  for (Index i = 0; i < rows; ++i, s += ld, dp += ld) {
    for (Index j = n; j < ld; ++j) s[j] = dp[j] = 0;
    vec<A> dot = {};
    for (Index j = 0; j < ld; j += lanes<A>) dot = fma(load(s + j), load(dp + j), dot);
    const A mean = sum(dot);
    for (Index j = 0; j < ld; j += lanes<A>) store(dp + j, load(s + j) * (load(dp + j) - mean));
  }
}

/// What is added to the last vector of a row of n scores: nothing, and -infinity to the lanes behind the end,
/// whose exponentials are then 0.
template <class A>
GRAM_INLINE vec<A> row_end(Index n) {
  A padding[lanes<A>];
  for (Index j = 0; j < lanes<A>; ++j)
    padding[j] = j < n - (n - 1) / lanes<A> * lanes<A> ? 0 : -std::numeric_limits<A>::infinity();
  return load(padding);
}

/// Soft-max without its division, which is left to the product with the values: their rows are shorter than
/// those of scores.
///     s <- 2^(scale s - top),   sums = sum of s,   lse = top + log2 sums,   top = max of scale s.
/// Rows have n scores and hold round_up(n, lanes) finite numbers; those behind the end become 0.
template <class A>
GRAM_KERNEL void exponential_rows(Index rows, Index n, Index ld, A scale, A* s, A* sums, A* lse) {
  constexpr Index L = lanes<A>;
  const Index last = (n - 1) / L * L;
  const vec<A> end = row_end<A>(n), factor = splat<A>(scale);
  for (Index i = 0; i < rows; ++i, s += ld) {
    const vec<A> tail = fma(load(s + last), factor, end);
    vec<A> top = tail, total = {};
    for (Index j = 0; j < last; j += L) top = max(load(s + j) * factor, top);
    const A largest = max_lane(top);
    for (Index j = 0; j < last; j += L) {
      const vec<A> e = exp2_below(fma(load(s + j), factor, splat<A>(-largest)));
      store(s + j, e);
      total += e;
    }
    const vec<A> e = exp2_below(tail - largest);
    store(s + last, e);
    sums[i] = sum(total + e), lse[i] = largest;
  }
  for (Index i = 0; i < rows; i += L) {
    const Index count = rows - i < L ? rows - i : L;
    const vec<A> sum_logs = log(load(sums + i, count)) * all<vec<A>>(1.4426950408889634);
    store(lse + i, load(lse + i, count) + sum_logs, count);
  }
}

/// y (rows, cols) = x, each row divided by its divisor.
template <class T>
GRAM_KERNEL void divide_rows(Index rows, Index cols, const accum_t<T>* x, Index ldx,
                             const accum_t<T>* divisors, T* y, Index ldy) {
  for (Index i = 0; i < rows; ++i, x += ldx, y += ldy) {
    const vec<T> s = splat<T>(1 / divisors[i]);
    Index j = 0;
    for (; j + lanes<T> <= cols; j += lanes<T>) store(y + j, load(x + j) * s);
    if (j < cols) store(y + j, load(x + j, cols - j) * s, cols - j);
  }
}

/// From scores and what exponential_rows kept of them, p = 2^(scale s - lse), and the gradient dp of p to
/// that of the scores:
///     s <- p,   dp <- p (dp - sum p dp).    Rows are as for exponential_rows.
template <class A>
GRAM_KERNEL void score_grad_rows(Index rows, Index n, Index ld, A scale, const A* lse, A* s, A* dp) {
  constexpr Index L = lanes<A>;
  const Index last = (n - 1) / L * L;
  const vec<A> end = row_end<A>(n), factor = splat<A>(scale);
  for (Index i = 0; i < rows; ++i, s += ld, dp += ld) {
    vec<A> dot = {};
    for (Index j = 0; j <= last; j += L) {
      const vec<A> score = fma(load(s + j), factor, j < last ? splat<A>(-lse[i]) : end - lse[i]);
      const vec<A> p = exp2_below(score);
      store(s + j, p);
      dot = fma(p, load(dp + j), dot);
    }
    const A mean = sum(dot);
    for (Index j = 0; j <= last; j += L) store(dp + j, load(s + j) * (load(dp + j) - mean));
  }
}

template <class T>
inline constexpr AttentionTable<T> attention_kernels{gather_rows<T>,
                                                     scatter_rows<T>,
                                                     softmax_rows<accum_t<T>>,
                                                     softmax_rows_grad<accum_t<T>>,
                                                     exponential_rows<accum_t<T>>,
                                                     divide_rows<T>,
                                                     score_grad_rows<accum_t<T>>};

}  // namespace gram::cpu::GRAM_ISA
