// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <type_traits>

#include "gram/cpu/conv2d.hpp"
#include "gram/cuda/conv2d.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;  ///< zeros on either side
  Pair dilation = 1;
  Index groups = 1;
};

namespace detail {

/// The sizes of a convolution; throws ShapeError or ArgumentError when the arguments do not fit.
inline Conv2dShape conv2d_shape(const AnyTensor& x, const AnyTensor& weight, const AnyTensor& bias,
                                const Conv2dOptions& o) {
  require(x.rank() == 4, "conv2d: input has shape ", x.shape(), "; (N, H, W, C) is needed");
  require(weight.rank() == 4 && weight.size() > 0, "conv2d: weight has shape ", weight.shape(),
          "; (O, Kh, Kw, C / groups), all positive, is needed");
  require<ArgumentError>(o.stride.h >= 1 && o.stride.w >= 1, "conv2d: stride is ", o.stride,
                         "; it must be positive");
  require<ArgumentError>(o.dilation.h >= 1 && o.dilation.w >= 1, "conv2d: dilation is ", o.dilation,
                         "; it must be positive");
  require<ArgumentError>(o.padding.h >= 0 && o.padding.w >= 0, "conv2d: padding is ", o.padding,
                         "; it must not be negative");
  constexpr Index most = Index{1} << 31U;  // sums of sizes stay far from the end of Index
  require<ArgumentError>(
      std::max({o.stride.h, o.stride.w, o.dilation.h, o.dilation.w, o.padding.h, o.padding.w}) <= most,
      "conv2d: stride ", o.stride, ", dilation ", o.dilation, " or padding ", o.padding, " is above ", most);
  require<ArgumentError>(o.groups >= 1, "conv2d: groups is ", o.groups, "; it must be positive");
  const Conv2dShape s{.n = x.dim(0),
                      .h = x.dim(1),
                      .w = x.dim(2),
                      .c = x.dim(3),
                      .o = weight.dim(0),
                      .kh = weight.dim(1),
                      .kw = weight.dim(2),
                      .stride = o.stride,
                      .padding = o.padding,
                      .dilation = o.dilation,
                      .groups = o.groups};
  require(s.o % s.groups == 0, "conv2d: weight ", weight.shape(), " has ", s.o,
          " output channels; they do not divide into ", s.groups, " groups");
  const std::string grouped = s.groups == 1 ? "" : text(" in ", s.groups, " groups");
  require(s.c == weight.dim(3) * s.groups, "conv2d: weight ", weight.shape(), grouped, " expects ",
          weight.dim(3) * s.groups, " input channels, input ", x.shape(), " has ", s.c);
  const Index h = s.h + 2 * s.padding.h, w = s.w + 2 * s.padding.w;
  require(s.reach_h() <= h && s.reach_w() <= w, "conv2d: kernel ", Pair(s.kh, s.kw), " with dilation ",
          s.dilation, " covers ", Pair(s.reach_h(), s.reach_w()), " pixels, but input ", x.shape(),
          " with padding ", s.padding, " has ", Pair(h, w), "; the result would be empty");
  require(!bias.defined() || bias.shape() == Shape{s.o}, "conv2d: bias has shape ", bias.shape(),
          ", but weight ", weight.shape(), " has ", s.o, " output channels");
  return s;
}

}  // namespace detail

/// Multiply-accumulates of conv2d in the form that it takes on the CPU, with weights `kept` or transformed in
/// the call: fewer than those of the formula where Winograd's form runs, whose transforms are not counted.
template <Scalar T>
Index conv2d_products(const Tensor<T>& x, const Tensor<T>& weight, const Conv2dOptions& options, bool kept) {
  const Conv2dShape s = detail::conv2d_shape(x, weight, Tensor<T>{}, options);
  if constexpr (std::is_same_v<T, float>)
    if (const auto plan =
            cpu::forward_plan(s, kept ? cpu::WinogradWeights::kept : cpu::WinogradWeights::made))
      return plan.products() * plan.tiles() * s.c * s.o;
  return s.y_size() * weight.shape().product(1, 4);
}

/// y[n,i,j,o] = bias[o] + sum_{a,b,c} weight[o,a,b,c] x[n, i sh + a dh - ph, j sw + b dw - pw, g C/G + c],
/// where x is zero outside the map and g = floor(o G / O) is the group of o: a cross-correlation, as in every
/// network library. x (N, H, W, C), weight (O, Kh, Kw, C/G), bias (O) or {}; y (N, H', W', O) with H' =
/// floor((H + 2 ph - dh (Kh - 1) - 1) / sh) + 1, W' alike. Throws ShapeError when sizes do not fit or H' or
/// W' would not be positive, ArgumentError on options out of range.
template <Scalar T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const std::type_identity_t<Tensor<T>>& bias,
                 const Conv2dOptions& options = {}) {
  const Conv2dShape shape = detail::conv2d_shape(x, weight, bias, options);
  require_one_device("conv2d", {&x, &weight, &bias});
  Tensor<T> y({shape.n, shape.out_h(), shape.out_w(), shape.o}, x.device());
  on(x.device(),
     [&](auto device) { kernels::conv2d(device, shape, x.data(), weight.data(), {bias.data()}, y.data()); });
  return record("conv2d", y, {x, weight, bias},
                [shape, dx = x.gradient(), dw = weight.gradient(), db = bias.gradient(),
                 x = weight.requires_grad() ? x.detach() : Tensor<T>{},
                 weight = x.requires_grad() ? weight.detach() : Tensor<T>{}](const Tensor<T>& dy) {
                  on(dy.device(), [&](auto device) {
                    // dx = dy correlated with the flipped kernel
                    if (const GradientSink<T> sink = dx.sink())
                      kernels::conv2d_grad_input(device, shape, weight.data(), dy.data(), sink.data,
                                                 sink.add);
                    // dw[o,a,b,c] = sum over pixels p of dy[p,o] x[p + (a,b),c]
                    if (const GradientSink<T> sink = dw.sink())
                      kernels::conv2d_grad_weight(device, shape, x.data(), dy.data(), sink.data, sink.add);
                    // db = sum over pixels of dy
                    if (const GradientSink<T> sink = db.sink())
                      kernels::conv2d_grad_bias(device, shape, dy.data(), sink.data, sink.add);
                  });
                });
}

}  // namespace gram
