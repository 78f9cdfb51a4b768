// SPDX-License-Identifier: MIT
// Convolution with weights that stay the same from call to call: the norm behind it is folded into them, and
// they are kept in the order that the kernel reads.
#pragma once
#include "gram/cpu/conv2d_prepared.hpp"
#include "gram/ops/conv2d.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// y = [relu](scale conv2d(x, weight, bias) + shift [+ residual]), without a gradient. The scale of an output
/// channel is multiplied into its weights, in double. Not for use by several threads at once.
template <Scalar T>
class Conv2dInference {
 public:
  using A = accum_t<T>;

  /// weight (O, Kh, Kw, C/G), bias (O) or {}; scale and shift (O), or {} for 1 and 0.
  Conv2dInference(const Tensor<T>& weight, const Tensor<T>& bias, const Conv2dOptions& options,
                  const Tensor<A>& scale, const Tensor<A>& shift)
      : options_(options), weight_(weight.detach()), bias_(bias.defined() ? bias.detach() : bias) {
    if (!scale.defined()) return;
    const Index outputs = weight.dim(0), size = weight.size() / outputs;
    weight_ = weight.detach().to(Device::cpu()).clone();
    const Tensor<A> s = scale.detach().to(Device::cpu()), t = shift.detach().to(Device::cpu());
    const Tensor<T> b = bias.defined() ? bias.detach().to(Device::cpu()) : zeros<T>({outputs});
    bias_ = Tensor<T>({outputs});
    for (Index o = 0; o < outputs; ++o) {
      const double factor = static_cast<double>(s.data()[o]);
      for (T& w : weight_.span().subspan(static_cast<std::size_t>(o * size), static_cast<std::size_t>(size)))
        w = static_cast<T>(static_cast<A>(factor * static_cast<double>(static_cast<A>(w))));
      bias_.data()[o] = static_cast<T>(static_cast<A>(
          factor * static_cast<double>(static_cast<A>(b.data()[o])) + static_cast<double>(t.data()[o])));
    }
    weight_ = weight_.to(weight.device()), bias_ = bias_.to(weight.device());
  }

  /// x (N, H, W, C), residual (N, H', W', O) or {} -> (N, H', W', O). Throws what conv2d throws.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual, bool relu) {
    const Conv2dShape shape = detail::conv2d_shape(x, weight_, bias_, options_);
    Tensor<T> y({shape.n, shape.out_h(), shape.out_w(), shape.o}, x.device());
    require(!residual.defined() || residual.shape() == y.shape(), "conv2d: residual has shape ",
            residual.shape(), ", but the result has shape ", y.shape(), "; they must agree");
    const Conv2dEpilogue<T> epilogue{bias_.data(), residual.data(), relu};
    on(x.device(), [&](auto device) {
      kernels::conv2d_prepared(device, shape, x.data(), weight_.data(), prepared_, epilogue, y.data());
    });
    return y;
  }

 private:
  Conv2dOptions options_;
  Tensor<T> weight_, bias_;
  kernels::PreparedWeights<T> prepared_;
};

}  // namespace gram
