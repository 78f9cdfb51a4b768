// SPDX-License-Identifier: MIT
#pragma once
#include <type_traits>

#include "gram/cpu/linear_grad.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/linear_grad.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {
namespace detail {

/// The sizes of a grouped linear map; throws when the arguments of `name` do not fit.
struct LinearShape {
  Index rows, in, out, groups;

  LinearShape(const char* name, const AnyTensor& x, const AnyTensor& weight, const AnyTensor& bias,
              Index groups_)
      : groups(groups_) {
    require<ArgumentError>(groups >= 1, name, ": groups is ", groups, "; it must be positive");
    require(weight.rank() == 2, name, ": weight has shape ", weight.shape(), "; (O, I / groups) is needed");
    out = weight.dim(0);
    require(out % groups == 0 && groups <= std::max<Index>(out, 1), name, ": weight ", weight.shape(),
            " has ", out, " output channels; they do not divide into ", groups, " groups");
    in = weight.dim(1) * groups;
    require(x.rank() >= 1 && x.dim(-1) == in, name, ": weight ", weight.shape(),
            groups == 1 ? "" : text(" in ", groups, " groups"), " expects ", in,
            " input channels, input has shape ", x.shape());
    require(!bias.defined() || bias.shape() == Shape{out}, name, ": bias has shape ", bias.shape(),
            ", but weight ", weight.shape(), " has ", out, " output channels");
    require_one_device(name, {&x, &weight, &bias});
    rows = x.shape().product(0, x.rank() - 1);
  }

  Index group_in() const { return in / groups; }
  Index group_out() const { return out / groups; }
  Index weight_stride() const { return group_in() * group_out(); }
};

/// Throws unless a residual has the shape of the result y, on its device; {} always fits.
inline void require_residual(const char* name, const AnyTensor& residual, const AnyTensor& y) {
  require(!residual.defined() || residual.shape() == y.shape(), name, ": residual has shape ",
          residual.shape(), ", but the result has shape ", y.shape(), "; they must agree");
  require_one_device(name, {&y, &residual});
}

template <Scalar T>
Tensor<T> linear(const char* name, const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Index groups, const Tensor<T>& residual) {
  const LinearShape s(name, x, weight, bias, groups);
  const Index in = s.group_in(), out = s.group_out();
  Tensor<T> y(x.shape().with(-1, s.out), x.device());
  require_residual(name, residual, y);
  on(x.device(), [&](auto device) {
    kernels::gemm_batched(device, {groups, in, s.weight_stride(), out, out}, {s.rows, out, in}, x.data(),
                          s.in, false, weight.data(), in, true, y.data(), s.out,
                          {.bias = bias.data(), .residual = residual.data()});
  });
  return record(name, y, {x, weight, bias, residual},
                [s, in, out, dx = x.gradient(), dw = weight.gradient(), db = bias.gradient(),
                 dresidual = residual.gradient(), x = weight.requires_grad() ? x.detach() : Tensor<T>{},
                 weight = x.requires_grad() ? weight.detach() : Tensor<T>{}](const Tensor<T>& dy) {
                  on(dy.device(), [&](auto device) {
                    if (const GradientSink<T> sink = dx.sink())  // dx = dy W
                      kernels::gemm_batched(device, {s.groups, out, s.weight_stride(), in}, {s.rows, in, out},
                                            dy.data(), s.out, false, weight.data(), in, false, sink.data,
                                            s.in, {.add = sink.add});
                    kernels::linear_grad_weight(device, s.rows, s.in, s.out, s.groups, dy.data(), x.data(),
                                                dw.sink(), db.sink());
                  });
                  dresidual.add(dy);
                });
}

}  // namespace detail

/// y = x W^T + b [+ residual], the sum made where the product is.  x (..., I), weight (O, I), bias (O) or {},
/// residual (..., O) or {}  ->  (..., O). Throws ShapeError when the sizes do not fit.
template <Scalar T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const std::type_identity_t<Tensor<T>>& bias,
                 const std::type_identity_t<Tensor<T>>& residual = {}) {
  return detail::linear("linear", x, weight, bias, 1, residual);
}

/// Linear maps side by side: output channels [g O/G, (g + 1) O/G) are computed from input channels [g I/G, (g
/// + 1) I/G). x (..., I), weight (O, I/G), bias (O) or {}, residual (..., O), which is added, or {}  ->
/// (..., O). It is a 1x1 convolution with G groups. Throws ShapeError when the sizes do not fit,
/// ArgumentError when groups < 1.
template <Scalar T>
Tensor<T> grouped_linear(const Tensor<T>& x, const Tensor<T>& weight,
                         const std::type_identity_t<Tensor<T>>& bias, Index groups,
                         const std::type_identity_t<Tensor<T>>& residual = {}) {
  return detail::linear("grouped_linear", x, weight, bias, groups, residual);
}

}  // namespace gram
