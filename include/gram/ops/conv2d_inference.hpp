// SPDX-License-Identifier: MIT
// Convolution with weights that stay the same from call to call: the norm behind it is folded into them, and
// they are kept in the order that the kernel reads.
#pragma once
#include "gram/cpu/conv2d_prepared.hpp"
#include "gram/cuda/conv2d.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/conv2d.hpp"
#include "gram/tensor/create.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// y = [relu or GELU](scale conv2d(x, weight, bias) + shift [+ residual]), without a gradient. The scale of
/// an output channel is multiplied into its weights. Not for use by several threads at once.
template <Scalar T>
class Conv2dInference {
 public:
  using A = accum_t<T>;

  /// weight (O, Kh, Kw, C/G), bias (O) or {}; scale and shift (O), or {} for 1 and 0.
  Conv2dInference(const Tensor<T>& weight, const Tensor<T>& bias, const Conv2dOptions& options,
                  const Tensor<A>& scale, const Tensor<A>& shift)
      : options_(options),
        weight_(weight.detach()),
        scale_(scale),
        bias_(bias.defined() ? bias.detach() : Tensor<T>{}) {
    if (!scale.defined()) return;
    bias_ = converted<T>(bias_.defined() ? add(mul(scale, converted<A>(bias_)), shift) : shift);
  }

  /// x (N, H, W, C), residual (N, H', W', O) or {} -> (N, H', W', O); GELU is for 1x1 convolutions. Throws
  /// what conv2d throws, and ArgumentError for a GELU on others.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual, bool relu, bool gelu = false) {
    const Conv2dShape shape = detail::conv2d_shape(x, weight_, bias_, options_);
    require<ArgumentError>(!gelu || (shape.taps() == 1 && shape.groups == 1), "conv2d: weight has shape ",
                           weight_.shape(), ", but a GELU needs a 1x1 kernel");
    require_one_device("conv2d", {&x, &weight_, &bias_, &residual});
    Tensor<T> y({shape.n, shape.out_h(), shape.out_w(), shape.o}, x.device());
    require(!residual.defined() || residual.shape() == y.shape(), "conv2d: residual has shape ",
            residual.shape(), ", but the result has shape ", y.shape(), "; they must agree");
    const Conv2dEpilogue<T> epilogue{bias_.data(), residual.data(), relu, gelu};
    on(x.device(), [&](auto device) {
      kernels::conv2d_prepared(
          device, shape, x.data(), [&] { return folded().data(); }, prepared_, epilogue, y.data());
    });
    if (prepared_.kept()) folded_ = {};
    return y;
  }

 private:
  /// The weights times the scale of their output channel.
  const Tensor<T>& folded() {
    if (!scale_.defined()) return weight_;
    if (!folded_.defined())
      folded_ = converted<T>(mul(converted<A>(weight_), reshape(scale_, {-1, 1, 1, 1})));
    return folded_;
  }

  Conv2dOptions options_;
  Tensor<T> weight_;
  Tensor<A> scale_;
  Tensor<T> bias_, folded_;
  kernels::PreparedWeights<T> prepared_;
};

}  // namespace gram
