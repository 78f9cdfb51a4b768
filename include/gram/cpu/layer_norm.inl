// SPDX-License-Identifier: MIT
// A row is read from memory once; the later passes over it find it in the L1 cache.
namespace gram::cpu::GRAM_ISA {

/// The first n lanes of v; the others zero.
template <class T>
GRAM_INLINE vec<T> first_lanes(vec<T> v, Index n) {
  accum_t<T> kept[lanes<T>] = {};
  store(kept, v, n);
  return load(kept);
}

/// y = (x - mean) rstd weight + bias for every row; mean and rstd (rows) are kept for the gradient.
template <class T>
GRAM_KERNEL void layer_norm_rows(Index rows, Index C, const T* x, const accum_t<T>* weight,
                                 const accum_t<T>* bias, double epsilon, T* y, accum_t<T>* mean,
                                 accum_t<T>* rstd) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  const Index whole = C / L * L, rest = C - whole;
  for (Index r = 0; r < rows; ++r, x += C, y += C) {
    // Two sums of each kind: one alone would wait for its own last addition.
    vec<T> total[2] = {}, squares[2] = {};
    Index c = 0;
    for (; c + 2 * L <= whole; c += 2 * L) total[0] += load(x + c), total[1] += load(x + c + L);
    if (c < whole) total[0] += load(x + c);
    if (rest) total[1] += load(x + whole, rest);
    const A m = sum(total[0] + total[1]) / static_cast<A>(C);
    for (c = 0; c + 2 * L <= whole; c += 2 * L) {
      const vec<T> d = load(x + c) - m, e = load(x + c + L) - m;
      squares[0] = fma(d, d, squares[0]), squares[1] = fma(e, e, squares[1]);
    }
    if (c < whole) {
      const vec<T> d = load(x + c) - m;
      squares[0] = fma(d, d, squares[0]);
    }
    if (rest) {
      const vec<T> d = first_lanes<T>(load(x + whole, rest) - m, rest);
      squares[1] = fma(d, d, squares[1]);
    }
    const double variance = static_cast<double>(sum(squares[0] + squares[1])) / static_cast<double>(C);
    const A s = static_cast<A>(1 / std::sqrt(variance + epsilon));
    mean[r] = m;
    rstd[r] = s;
    for (c = 0; c < whole; c += L) store(y + c, fma((load(x + c) - m) * s, load(weight + c), load(bias + c)));
    if (rest)
      store(y + whole,
            fma((load(x + whole, rest) - m) * s, load(weight + whole, rest), load(bias + whole, rest)), rest);
  }
}

/// With h = (x - mean) rstd and e = dy weight: dx = rstd (e - mean e - h mean(e h)). dweight += dy h and
/// dbias += dy over these rows; dx may be null.
template <class T>
GRAM_KERNEL void layer_norm_grad_rows(Index rows, Index C, const T* x, const T* dy, const accum_t<T>* weight,
                                      const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
                                      accum_t<T>* dweight, accum_t<T>* dbias) {
  using A = accum_t<T>;
  constexpr Index L = lanes<T>;
  const Index whole = C / L * L, rest = C - whole;
  for (Index r = 0; r < rows; ++r, x += C, dy += C) {
    const A m = mean[r], s = rstd[r];
    vec<T> total = {}, products = {};
    for (Index c = 0; c < whole; c += L) {
      const vec<T> h = (load(x + c) - m) * s, d = load(dy + c), e = d * load(weight + c);
      total += e;
      products = fma(e, h, products);
      store(dweight + c, fma(d, h, load(dweight + c)));
      store(dbias + c, load(dbias + c) + d);
    }
    if (rest) {  // d is zero behind the end, and with it every product
      const vec<T> h = (load(x + whole, rest) - m) * s, d = load(dy + whole, rest),
                   e = d * load(weight + whole, rest);
      total += e;
      products = fma(e, h, products);
      store(dweight + whole, fma(d, h, load(dweight + whole, rest)), rest);
      store(dbias + whole, load(dbias + whole, rest) + d, rest);
    }
    if (!dx) continue;
    const A a = sum(total) / static_cast<A>(C), b = sum(products) / static_cast<A>(C);
    for (Index c = 0; c < whole; c += L) {
      vec<T> g = s * (load(dy + c) * load(weight + c) - a - (load(x + c) - m) * s * b);
      if (dx.add) g += load(dx.data + c);
      store(dx.data + c, g);
    }
    if (rest) {
      vec<T> g =
          s * (load(dy + whole, rest) * load(weight + whole, rest) - a - (load(x + whole, rest) - m) * s * b);
      if (dx.add) g += load(dx.data + whole, rest);
      store(dx.data + whole, g, rest);
    }
    dx.data += C;
  }
}

template <class T>
inline constexpr LayerNormTable<T> layer_norm_kernels{layer_norm_rows<T>, layer_norm_grad_rows<T>};

}  // namespace gram::cpu::GRAM_ISA
