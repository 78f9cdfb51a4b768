// SPDX-License-Identifier: MIT
namespace gram::cpu::GRAM_ISA {

/// hat = (x - mean) rstd of each row of C entries, rstd = 1 / sqrt(variance + epsilon).
template <class A>
GRAM_KERNEL void normalise_rows(Index rows, Index C, A epsilon, const A* x, A* hat, A* rstd) {
  const Index whole = C / lanes<A> * lanes<A>, rest = C - whole;
  for (Index i = 0; i < rows; ++i, x += C, hat += C) {
    vec<A> total = rest ? load(x + whole, rest) : vec<A>{};
    for (Index c = 0; c < whole; c += lanes<A>) total += load(x + c);
    const A mean = sum(total) / static_cast<A>(C);
    vec<A> squares = {};
    for (Index c = 0; c < whole; c += lanes<A>) {
      const vec<A> d = load(x + c) - mean;
      squares = fma(d, d, squares);
    }
    A square = sum(squares);
    for (Index c = whole; c < C; ++c) square += (x[c] - mean) * (x[c] - mean);
    rstd[i] = 1 / std::sqrt(square / static_cast<A>(C) + epsilon);
    for (Index c = 0; c < whole; c += lanes<A>) store(hat + c, (load(x + c) - mean) * rstd[i]);
    for (Index c = whole; c < C; ++c) hat[c] = (x[c] - mean) * rstd[i];
  }
}

/// dx = rstd (dhat - mean(dhat) - hat mean(dhat hat)), added to dx on request.
template <class A>
GRAM_KERNEL void normalise_rows_grad(Index rows, Index C, const A* hat, const A* rstd, const A* dhat, A* dx,
                                     bool add) {
  const Index whole = C / lanes<A> * lanes<A>, rest = C - whole;
  for (Index i = 0; i < rows; ++i, hat += C, dhat += C, dx += C) {
    vec<A> total = {}, dots = {};
    for (Index c = 0; c < whole; c += lanes<A>) {
      total += load(dhat + c);
      dots = fma(load(dhat + c), load(hat + c), dots);
    }
    if (rest) {
      total += load(dhat + whole, rest);
      dots = fma(load(dhat + whole, rest), load(hat + whole, rest), dots);
    }
    const A mean = sum(total) / static_cast<A>(C), slope = sum(dots) / static_cast<A>(C);
    for (Index c = 0; c < whole; c += lanes<A>) {
      const vec<A> d = (load(dhat + c) - mean - load(hat + c) * slope) * rstd[i];
      store(dx + c, add ? load(dx + c) + d : d);
    }
    for (Index c = whole; c < C; ++c) {
      const A d = (dhat[c] - mean - hat[c] * slope) * rstd[i];
      dx[c] = add ? dx[c] + d : d;
    }
  }
}

/// y (rows, C) = g x + b; b may be null.
template <class A>
GRAM_KERNEL void affine_rows(Index rows, Index C, const A* x, const A* g, const A* b, A* y) {
  const Index whole = C / lanes<A> * lanes<A>;
  for (Index i = 0; i < rows; ++i, x += C, y += C) {
    for (Index c = 0; c < whole; c += lanes<A>)
      store(y + c, fma(load(g + c), load(x + c), b ? load(b + c) : vec<A>{}));
    for (Index c = whole; c < C; ++c) y[c] = g[c] * x[c] + (b ? b[c] : A(0));
  }
}

/// Backward of affine_rows for `columns` of the C columns: dg += sum dy x, db += sum dy (if asked for), dy <-
/// g dy.
template <class A>
GRAM_KERNEL void affine_rows_grad(Index rows, Index columns, Index C, const A* x, const A* g, A* dy, A* dg,
                                  A* db) {
  const Index whole = columns / lanes<A> * lanes<A>;
  for (Index i = 0; i < rows; ++i, x += C, dy += C) {
    for (Index c = 0; c < whole; c += lanes<A>) {
      const vec<A> d = load(dy + c);
      store(dg + c, fma(d, load(x + c), load(dg + c)));
      if (db) store(db + c, load(db + c) + d);
      store(dy + c, d * load(g + c));
    }
    for (Index c = whole; c < columns; ++c) {
      dg[c] += dy[c] * x[c];
      if (db) db[c] += dy[c];
      dy[c] *= g[c];
    }
  }
}

/// y += a x
template <class A>
GRAM_KERNEL void add_scaled(Index n, A a, const A* x, A* y) {
  Index i = 0;
  for (; i + lanes<A> <= n; i += lanes<A>) store(y + i, fma(splat<A>(a), load(x + i), load(y + i)));
  for (; i < n; ++i) y[i] += a * x[i];
}

template <class A>
GRAM_KERNEL A dot(Index n, const A* x, const A* y) {
  vec<A> total = {};
  Index i = 0;
  for (; i + lanes<A> <= n; i += lanes<A>) total = fma(load(x + i), load(y + i), total);
  if (i < n) total = fma(load(x + i, n - i), load(y + i, n - i), total);
  return sum(total);
}

template <class A>
inline constexpr ClassAttentionTable<A> class_attention_kernels{
    normalise_rows<A>, normalise_rows_grad<A>, affine_rows<A>, affine_rows_grad<A>, add_scaled<A>, dot<A>};

}  // namespace gram::cpu::GRAM_ISA
