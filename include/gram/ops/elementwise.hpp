// SPDX-License-Identifier: MIT
// What the element-wise operations have in common: one function for those of one operand, one for those of
// two.
#pragma once
#include "gram/cpu/elementwise.hpp"
#include "gram/cuda/elementwise.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// The shape both operands broadcast to, as in numpy: axes are aligned from the last one, an extent of 1 is
/// repeated. Throws ShapeError when two extents differ and neither is 1.
inline Shape broadcast_shape(const char* operation, const Shape& a, const Shape& b) {
  Shape y;
  for (int i = std::max(a.rank(), b.rank()); i >= 1; --i) {
    const Index in_a = i <= a.rank() ? a[-i] : 1, in_b = i <= b.rank() ? b[-i] : 1;
    require(in_a == in_b || in_a == 1 || in_b == 1, operation, ": a has shape ", a, ", but b has shape ", b,
            "; aligned from the last axis, extents must be equal or 1");
    y.append(in_a == 1 ? in_b : in_a);
  }
  return y;
}

namespace detail {

template <Scalar T>
Tensor<T> unary(const char* name, kernels::Unary op, const Tensor<T>& x, kernels::Constants c = {}) {
  require<ArgumentError>(x.defined(), name, ": x is undefined");
  Tensor<T> y(x.shape(), x.device());
  on(x.device(), [&](auto device) { kernels::unary(device, op, x.data(), y.data(), x.size(), c); });
  const kernels::Kept kept = kernels::kept_by(op);
  Tensor<T> memory = kept == kernels::Kept::x ? x.detach() : kept == kernels::Kept::y ? y : Tensor<T>{};
  return record(name, y, {x}, [op, c, memory = std::move(memory), dx = x.gradient()](const Tensor<T>& dy) {
    if (op == kernels::Unary::affine && c.a == 1) return dx.add(dy);
    const GradientSink<T> sink = dx.sink_over(dy);
    const T* kept_data = memory.defined() ? memory.data() : dy.data();
    on(dy.device(), [&](auto device) {
      kernels::unary_grad(device, op, kept_data, dy.data(), sink.data, sink.add, dy.size(), c);
    });
  });
}

/// Adds the gradient of one operand of a binary operation; `mine` and `other` may be undefined where grad
/// does not read them. The last to read dy may be written over it.
template <Scalar T>
void add_binary_grad(kernels::BinaryGrad grad, const Gradient<T>& dx, const Shape& other_shape,
                     const Tensor<T>& mine, const Tensor<T>& other, const Tensor<T>& dy, bool last) {
  if (!dx) return;
  if (grad == kernels::BinaryGrad::pass && dx.shape().size() == dy.size())
    return dx.add(dy.alias(dx.shape()));
  const GradientSink<T> sink = last ? dx.sink_over(dy) : dx.sink();
  const kernels::Broadcast layout(dy.shape(), dx.shape(), other_shape);
  // what is not read is never larger than dy
  const T* a = mine.defined() ? mine.data() : dy.data();
  const T* b = other.defined() ? other.data() : dy.data();
  on(dy.device(),
     [&](auto device) { kernels::binary_grad(device, grad, layout, a, b, dy.data(), sink.data, sink.add); });
}

/// An operation that does not read its operands again keeps none of their memory.
template <Scalar T>
Tensor<T> binary(const char* name, kernels::Binary op, kernels::BinaryGrad grad_a, kernels::BinaryGrad grad_b,
                 const Tensor<T>& a, const Tensor<T>& b) {
  require<ArgumentError>(a.defined() && b.defined(), name, ": ", a.defined() ? "b" : "a", " is undefined");
  require<DeviceError>(a.device() == b.device(), name, ": a is on ", a.device(), ", but b on ", b.device());
  Tensor<T> y(broadcast_shape(name, a.shape(), b.shape()), a.device());
  on(y.device(), [&](auto device) {
    kernels::binary(device, op, kernels::Broadcast(y.shape(), a.shape(), b.shape()), a.data(), b.data(),
                    y.data());
  });
  const bool linear = op == kernels::Binary::add || op == kernels::Binary::sub;
  return record(name, y, {a, b},
                [grad_a, grad_b, da = a.gradient(), db = b.gradient(), a = linear ? Tensor<T>{} : a.detach(),
                 b = linear ? Tensor<T>{} : b.detach()](const Tensor<T>& dy) {
                  const bool a_last = da.shape().size() == dy.size();  // a sum has no use for dy's memory
                  if (!a_last) add_binary_grad(grad_a, da, db.shape(), a, b, dy, false);
                  add_binary_grad(grad_b, db, da.shape(), b, a, dy, !a_last);
                  if (a_last) add_binary_grad(grad_a, da, db.shape(), a, b, dy, true);
                });
}

}  // namespace detail
}  // namespace gram
