// SPDX-License-Identifier: MIT
// Element-wise operations of one operand, and of two that broadcast. All of them wait for memory: every
// operand is read once and every result written once, 16 bytes at a time where memory is aligned to that.
#pragma once
#include "gram/cuda/elementwise.hpp"
#include "gram/cuda/formulas.hpp"
#include "gram/cuda/strided_sum.cuh"

namespace gram::cuda {

/// y = f.value(x), or, where dy is given, y [+]= f.grad(x, dy).
template <class T, bool gradient, class F>
__global__ void unary_kernel(F f, const T* x, const T* dy, T* y, bool add, Index n, Index lines) {
  for (Index line = first_item(); line < lines; line += item_step()) {
    const Index i = line * pack_size<T>;
    const Line<T> u = load_line(x, i, 1);
    Line<T> v, result;
    if constexpr (gradient) {
      v = load_line(dy, i, 1);
      if (add) result = load_line(y, i, 1);
    }
    for (int k = 0; k < pack_size<T>; ++k)
      if constexpr (gradient) {
        const accum_t<T> value = f.grad(wide(u.value[k]), wide(v.value[k]));
        result.value[k] = narrow<T>(add ? wide(result.value[k]) + value : value);
      } else {
        result.value[k] = narrow<T>(f.value(wide(u.value[k])));
      }
    store_line(y + i, result);
  }
  for (Index i = lines * pack_size<T> + first_item(); i < n; i += item_step())
    if constexpr (gradient) {
      const accum_t<T> value = f.grad(wide(x[i]), wide(dy[i]));
      y[i] = narrow<T>(add ? wide(y[i]) + value : value);
    } else {
      y[i] = narrow<T>(f.value(wide(x[i])));
    }
}

template <class T, bool gradient, template <class> class F>
void launch_unary(Cuda device, const T* x, const T* dy, T* y, bool add, Index n, kernels::Constants c) {
  using A = accum_t<T>;
  const F<A> f{{static_cast<A>(c.a), static_cast<A>(c.b)}};
  const Index lines = packable(x) && packable(dy) && packable(y) ? n / pack_size<T> : 0;
  launch(device, unary_kernel<T, gradient, F<A>>, grid_blocks(lines ? lines : n), block_threads, 0, f, x, dy,
         y, add, n, lines);
}

/// As strided() wants them.
template <class A, class F>
struct Value {
  GRAM_DEVICE A operator()(A a, A b, A) const { return F::value(a, b); }
};
template <class A, class F>
struct Grad {
  GRAM_DEVICE A operator()(A mine, A other, A dy) const { return F::grad(mine, other, dy); }
};

template <class T, template <class> class F>
void launch_binary(Cuda device, const kernels::Broadcast& s, const T* a, const T* b, T* y) {
  using A = accum_t<T>;
  strided(device, Value<A, F<A>>{}, s.outer, s.inner, a, b, y, y, false);
}
template <class T, template <class> class F>
void launch_binary_grad(Cuda device, const kernels::Broadcast& s, const T* mine, const T* other, const T* dy,
                        T* dx, bool add) {
  using A = accum_t<T>;
  if (s.repeats_a)
    strided_sum(device, Grad<A, F<A>>{}, SumShape(s), mine, other, dy, dx, add, 1);
  else
    strided(device, Grad<A, F<A>>{}, s.outer, s.inner, mine, other, dy, dx, add);
}

/// The formulas in the order of the enums.
template <template <class> class... F>
struct Formulas {};
using UnaryFormulas = Formulas<Affine, Quotient, Exp, Log, Sqrt, Abs, Pow, Clamp, Relu, Relu6, Gelu, GeluTanh,
                               Silu, Sigmoid, Tanh, Hardswish, Softplus>;
using BinaryFormulas = Formulas<Add, Sub, Mul, Div, Minimum, Maximum>;
using BinaryGradFormulas = Formulas<Pass, Negate, Times, Over, Under, MinimumGrad, MaximumGrad>;

template <class T, bool gradient, template <class> class... F>
void choose_unary(Formulas<F...>, Cuda device, kernels::Unary op, const T* x, const T* dy, T* y, bool add,
                  Index n, kernels::Constants c) {
  static constexpr decltype(&launch_unary<T, gradient, Affine>) table[] = {launch_unary<T, gradient, F>...};
  table[static_cast<std::size_t>(op)](device, x, dy, y, add, n, c);
}
template <class T>
void unary(Cuda device, kernels::Unary op, const T* x, T* y, Index n, kernels::Constants c) {
  choose_unary<T, false>(UnaryFormulas{}, device, op, x, x, y, false, n, c);
}
template <class T>
void unary_grad(Cuda device, kernels::Unary op, const T* kept, const T* dy, T* dx, bool add, Index n,
                kernels::Constants c) {
  choose_unary<T, true>(UnaryFormulas{}, device, op, kept, dy, dx, add, n, c);
}

template <class T, template <class> class... F>
void choose_binary(Formulas<F...>, Cuda device, kernels::Binary op, const kernels::Broadcast& s, const T* a,
                   const T* b, T* y) {
  static constexpr decltype(&launch_binary<T, Add>) table[] = {launch_binary<T, F>...};
  table[static_cast<std::size_t>(op)](device, s, a, b, y);
}
template <class T>
void binary(Cuda device, kernels::Binary op, const kernels::Broadcast& s, const T* a, const T* b, T* y) {
  choose_binary(BinaryFormulas{}, device, op, s, a, b, y);
}
template <class T, template <class> class... F>
void choose_binary_grad(Formulas<F...>, Cuda device, kernels::BinaryGrad op, const kernels::Broadcast& s,
                        const T* mine, const T* other, const T* dy, T* dx, bool add) {
  static constexpr decltype(&launch_binary_grad<T, Pass>) table[] = {launch_binary_grad<T, F>...};
  table[static_cast<std::size_t>(op)](device, s, mine, other, dy, dx, add);
}
template <class T>
void binary_grad(Cuda device, kernels::BinaryGrad op, const kernels::Broadcast& s, const T* mine,
                 const T* other, const T* dy, T* dx, bool add) {
  choose_binary_grad(BinaryGradFormulas{}, device, op, s, mine, other, dy, dx, add);
}

template <class T>
void fill_in_elementwise_tables() {
  elementwise_table<T> = {unary<T>, unary_grad<T>, binary<T>, binary_grad<T>};
}

}  // namespace gram::cuda
