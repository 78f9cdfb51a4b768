// SPDX-License-Identifier: MIT
// Formulas: value(x) is f(x); grad(x, dy) or grad(y, dy) is dy f'(x), written with what kernels::kept_by
// names. Below them one loop for each kind of kernel, then the table, in the order of the enums.
namespace gram::cpu::GRAM_ISA {

template <class V>
struct Formula {
  V a, b;  ///< the constants of the operation
};

template <class V>
struct Affine : Formula<V> {
  GRAM_INLINE V value(V x) const { return fma(x, this->a, this->b); }
  GRAM_INLINE V grad(V, V dy) const { return dy * this->a; }
};
template <class V>
struct Quotient : Formula<V> {
  GRAM_INLINE V value(V x) const { return this->a / x; }
  GRAM_INLINE V grad(V x, V dy) const { return -dy * this->a / (x * x); }
};
template <class V>
struct Exp : Formula<V> {
  GRAM_INLINE static V value(V x) { return exp(x); }
  GRAM_INLINE static V grad(V y, V dy) { return dy * y; }
};
template <class V>
struct Log : Formula<V> {
  GRAM_INLINE static V value(V x) { return log(x); }
  GRAM_INLINE static V grad(V x, V dy) { return dy / x; }
};
template <class V>
struct Sqrt : Formula<V> {
  GRAM_INLINE static V value(V x) { return sqrt(x); }
  GRAM_INLINE static V grad(V y, V dy) { return all<V>(0.5) * dy / y; }
};
template <class V>
struct Abs : Formula<V> {
  GRAM_INLINE static V value(V x) { return x < V{} ? -x : x; }
  GRAM_INLINE static V grad(V x, V dy) { return x > V{} ? dy : x < V{} ? -dy : V{}; }
};
template <class V>
struct Pow : Formula<V> {
  GRAM_INLINE V value(V x) const { return pow(x, this->a); }
  // x^0 is 1 everywhere: its gradient is 0, also where 0 x^-1 has no value
  GRAM_INLINE V grad(V x, V dy) const {
    return this->a == V{} ? V{} : dy * this->a * pow(x, this->a - all<V>(1));
  }
};
template <class V>
struct Clamp : Formula<V> {
  GRAM_INLINE V value(V x) const { return x < this->a ? this->a : x > this->b ? this->b : x; }
  GRAM_INLINE V grad(V x, V dy) const { return ((x < this->a) | (x > this->b)) ? V{} : dy; }
};
template <class V>
struct Relu : Formula<V> {
  GRAM_INLINE static V value(V x) { return x < V{} ? V{} : x; }
  GRAM_INLINE static V grad(V y, V dy) { return y <= V{} ? V{} : dy; }
};
template <class V>
struct Relu6 : Formula<V> {
  GRAM_INLINE static V value(V x) { return x < V{} ? V{} : x > all<V>(6) ? all<V>(6) : x; }
  GRAM_INLINE static V grad(V y, V dy) { return ((y <= V{}) | (y >= all<V>(6))) ? V{} : dy; }
};
template <class V>
struct Gelu : Formula<V> {
  GRAM_INLINE static V value(V x) { return gelu(x); }
  GRAM_INLINE static V grad(V x, V dy) { return dy * gelu_slope(x); }
};
template <class V>
struct GeluTanh : Formula<V> {  // (1 + tanh u) / 2 = sigmoid(2 u), which does not cancel
  static constexpr double p = 1.59576912160573071176,
                          q = 0.044715 * p;  // 2 u = x (p + q x^2), p = sqrt(8 / pi)
  GRAM_INLINE static V twice_u(V x) { return x * fma(x * x, all<V>(q), all<V>(p)); }
  GRAM_INLINE static V value(V x) { return x * sigmoid(twice_u(x)); }
  GRAM_INLINE static V grad(V x, V dy) {
    V complement;
    const V s = sigmoid(twice_u(x), complement);
    return dy * fma(x * s * complement, fma(x * x, all<V>(3 * q), all<V>(p)), s);
  }
};
template <class V>
struct Silu : Formula<V> {
  GRAM_INLINE static V value(V x) { return x * sigmoid(x); }
  GRAM_INLINE static V grad(V x, V dy) {
    V complement;
    const V s = sigmoid(x, complement);
    return dy * s * fma(x, complement, all<V>(1));
  }
};
template <class V>
struct Sigmoid : Formula<V> {
  GRAM_INLINE static V value(V x) { return sigmoid(x); }
  GRAM_INLINE static V grad(V y, V dy) { return dy * y * (all<V>(1) - y); }
};
template <class V>
struct Tanh : Formula<V> {
  GRAM_INLINE static V value(V x) { return tanh(x); }
  GRAM_INLINE static V grad(V y, V dy) { return dy * (all<V>(1) - y * y); }
};
template <class V>
struct Hardswish : Formula<V> {
  GRAM_INLINE static V value(V x) {
    const V t = x + all<V>(3);
    return x * (t < V{} ? V{} : t > all<V>(6) ? all<V>(6) : t) / all<V>(6);
  }
  GRAM_INLINE static V grad(V x, V dy) {
    return x < all<V>(-3) ? V{} : x > all<V>(3) ? dy : dy * (x / all<V>(3) + all<V>(0.5));
  }
};
template <class V>
struct Softplus : Formula<V> {
  GRAM_INLINE static V value(V x) { return (x < V{} ? V{} : x) + log1p(exp(x < V{} ? x : -x)); }
  GRAM_INLINE static V grad(V x, V dy) { return dy * sigmoid(x); }
};

template <class V>
struct Add {
  GRAM_INLINE static V value(V a, V b) { return a + b; }
};
template <class V>
struct Sub {
  GRAM_INLINE static V value(V a, V b) { return a - b; }
};
template <class V>
struct Mul {
  GRAM_INLINE static V value(V a, V b) { return a * b; }
};
template <class V>
struct Div {
  GRAM_INLINE static V value(V a, V b) { return a / b; }
};
template <class V>
struct Minimum {  // NaN when one operand is
  GRAM_INLINE static V value(V a, V b) { return ((a < b) | (a != a)) ? a : b; }
};
template <class V>
struct Maximum {
  GRAM_INLINE static V value(V a, V b) { return ((a > b) | (a != a)) ? a : b; }
};

template <class V>
struct Pass {
  GRAM_INLINE static V grad(V, V, V dy) { return dy; }
};
template <class V>
struct Negate {
  GRAM_INLINE static V grad(V, V, V dy) { return -dy; }
};
template <class V>
struct Times {
  GRAM_INLINE static V grad(V, V other, V dy) { return dy * other; }
};
template <class V>
struct Over {
  GRAM_INLINE static V grad(V, V other, V dy) { return dy / other; }
};
template <class V>
struct Under {
  GRAM_INLINE static V grad(V mine, V other, V dy) { return -dy * other / (mine * mine); }
};
template <class V>
struct MinimumGrad {
  GRAM_INLINE static V grad(V mine, V other, V dy) {
    return mine < other ? dy : mine == other ? all<V>(0.5) * dy : V{};
  }
};
template <class V>
struct MaximumGrad {
  GRAM_INLINE static V grad(V mine, V other, V dy) {
    return mine > other ? dy : mine == other ? all<V>(0.5) * dy : V{};
  }
};

template <class T, template <class> class F>
GRAM_KERNEL void unary(Index n, const T* x, T* y, kernels::Constants constants) {
  const F<vec<T>> f{{all<vec<T>>(constants.a), all<vec<T>>(constants.b)}};
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(y + i, f.value(load(x + i)));
  if (i < n) store(y + i, f.value(load(x + i, n - i)), n - i);
}

template <class T, template <class> class F>
GRAM_KERNEL void unary_grad(Index n, const T* kept, const T* dy, T* dx, bool add,
                            kernels::Constants constants) {
  const F<vec<T>> f{{all<vec<T>>(constants.a), all<vec<T>>(constants.b)}};
  Index i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    const vec<T> g = f.grad(load(kept + i), load(dy + i));
    store(dx + i, add ? load(dx + i) + g : g);
  }
  if (i < n) {
    const vec<T> g = f.grad(load(kept + i, n - i), load(dy + i, n - i));
    store(dx + i, add ? load(dx + i, n - i) + g : g, n - i);
  }
}

/// Elements [i, i + lanes) of row r; the second form stops after n of them.
template <class T>
GRAM_INLINE vec<T> load(const RowOperand<T>& x, Index r, Index i) {
  const T* row = x.data + r * x.row;
  return x.step ? load(row + i) : splat<T>(*row);
}
template <class T>
GRAM_INLINE vec<T> load(const RowOperand<T>& x, Index r, Index i, Index n) {
  const T* row = x.data + r * x.row;
  return x.step ? load(row + i, n) : splat<T>(*row);
}

template <class T, template <class> class F>
GRAM_KERNEL void binary(Index rows, Index n, RowOperand<T> a, RowOperand<T> b, T* y, Index y_row) {
  for (Index r = 0; r < rows; ++r, y += y_row) {
    Index i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) store(y + i, F<vec<T>>::value(load(a, r, i), load(b, r, i)));
    if (i < n) store(y + i, F<vec<T>>::value(load(a, r, i, n - i), load(b, r, i, n - i)), n - i);
  }
}

template <class T, template <class> class F>
GRAM_KERNEL void binary_grad(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy,
                             T* dx, bool add) {
  for (Index r = 0; r < rows; ++r, dx += dy.row) {
    Index i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      const vec<T> g = F<vec<T>>::grad(load(mine, r, i), load(other, r, i), load(dy, r, i));
      store(dx + i, add ? load(dx + i) + g : g);
    }
    if (i < n) {
      const vec<T> g =
          F<vec<T>>::grad(load(mine, r, i, n - i), load(other, r, i, n - i), load(dy, r, i, n - i));
      store(dx + i, add ? load(dx + i, n - i) + g : g, n - i);
    }
  }
}

template <class T, template <class> class F>
GRAM_KERNEL void sum_rows(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy,
                          accum_t<T>* sums) {
  for (Index r = 0; r < rows; ++r) {
    Index i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>)
      store(sums + i, load(sums + i) + F<vec<T>>::grad(load(mine, r, i), load(other, r, i), load(dy, r, i)));
    if (i < n)
      store(sums + i,
            load(sums + i, n - i) +
                F<vec<T>>::grad(load(mine, r, i, n - i), load(other, r, i, n - i), load(dy, r, i, n - i)),
            n - i);
  }
}

template <class T, template <class> class F>
GRAM_KERNEL double sum_all(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy) {
  double total = 0;
  for (Index r = 0; r < rows; ++r)
    for (Index i = 0; i < n;) {
      const Index stop = i + 64 * lanes<T> < n ? i + 64 * lanes<T> : n;
      vec<T> s{};  // of 64 vectors at most; their sums are added in double
      for (; i + lanes<T> <= stop; i += lanes<T>)
        s += F<vec<T>>::grad(load(mine, r, i), load(other, r, i), load(dy, r, i));
      total += static_cast<double>(sum(s));
      if (i < stop) {
        const vec<T> g =
            F<vec<T>>::grad(load(mine, r, i, n - i), load(other, r, i, n - i), load(dy, r, i, n - i));
        for (int k = 0; i < stop; ++i, ++k) total += static_cast<double>(g[k]);
      }
    }
  return total;
}

template <template <class> class... F>
struct List {};
template <class T, template <class> class... U, template <class> class... B, template <class> class... G>
constexpr ElementwiseTable<T> elementwise_list(List<U...>, List<B...>, List<G...>) {
  return {{unary<T, U>...},       {unary_grad<T, U>...}, {binary<T, B>...},
          {binary_grad<T, G>...}, {sum_rows<T, G>...},   {sum_all<T, G>...}};
}
template <class T>
inline constexpr ElementwiseTable<T> elementwise_kernels =
    elementwise_list<T>(List<Affine, Quotient, Exp, Log, Sqrt, Abs, Pow, Clamp, Relu, Relu6, Gelu, GeluTanh,
                             Silu, Sigmoid, Tanh, Hardswish, Softplus>{},
                        List<Add, Sub, Mul, Div, Minimum, Maximum>{},
                        List<Pass, Negate, Times, Over, Under, MinimumGrad, MaximumGrad>{});

}  // namespace gram::cpu::GRAM_ISA
