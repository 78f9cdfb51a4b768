// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/batch_norm.hpp"
#include "gram/nn/folded.hpp"
#include "gram/nn/init.hpp"

namespace gram {

/// 2-D convolution, x (N, H, W, I) -> y (N, H', W', O); weight (O, Kh, Kw, I/G), in files (O, I/G, Kh, Kw),
/// bias (O). Names and defaults are those of torch.nn.Conv2d. Throws ArgumentError when groups does not
/// divide I and O.
template <Scalar T>
struct Conv2d {
  struct Options {
    Index in = 0, out = 0;
    Pair kernel = 1, stride = 1, padding = 0, dilation = 1;
    Index groups = 1;
    bool bias = true;
    Init init = Init::pytorch;
  };

  Conv2d(const Options& o, Rng& rng)
      : options{.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups} {
    require<ArgumentError>(o.in > 0 && o.out > 0 && o.kernel.h > 0 && o.kernel.w > 0, "Conv2d: ", o.in,
                           " inputs, ", o.out, " outputs, kernel ", o.kernel, "; all must be positive");
    require<ArgumentError>(o.groups > 0 && o.in % o.groups == 0 && o.out % o.groups == 0,
                           "Conv2d: ", o.groups, " groups; they must divide ", o.in, " inputs and ", o.out,
                           " outputs");
    weight = Parameter<T>(init::weight<T>({o.out, o.kernel.h, o.kernel.w, o.in / o.groups}, o.init, rng),
                          Layout::conv);
    bias = Parameter<T>(init::bias<T>(o.bias, weight.shape(), o.init, rng));
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    if (prepared()) return inference(x, nullptr, {}, false);
    const Tensor<T> y = located(weight, [&] { return conv2d(x, weight, bias, options); });
    log(x, y);
    return y;
  }
  /// True when calls run what fuse_for_inference() asked for.
  bool prepared() const { return weight.fused && !grad_enabled(); }
  /// [relu](norm(conv(x)) [+ residual]) in one pass, without a gradient; norm may be null.
  Tensor<T> inference(const Tensor<T>& x, const BatchNorm2d<T>* norm, const Tensor<T>& residual,
                      bool relu) const {
    const Tensor<T> y = located(
        weight, [&] { return prepared_conv2d(weight, weight, bias, options, norm)(x, residual, relu); });
    log(x, y);
    return y;
  }
  /// Whether a batch norm in training should compute this, too: a plain 1x1 convolution, where that saves
  /// time.
  bool folds(const Tensor<T>& x) const {
    return x.rank() == 4 && weight.dim(1) == 1 && weight.dim(2) == 1 && options.stride == Pair(1) &&
           options.padding == Pair(0) && options.groups == 1 && !bias.defined() &&
           folding_pays(x.shape().product(0, 3), weight.dim(3), weight.dim(0));
  }
  /// Writes a call into the open log, if any.
  void log(const Tensor<T>& x, const Tensor<T>& y) const {
    if (CallLog* calls = CallLog::open())
      calls->add({.path = layer_path(weight.name),
                  .kind = "Conv2d",
                  .output = y.shape(),
                  .input = x.shape(),
                  .parameters = weight.size() + bias.size(),
                  .products = y.size() * weight.shape().product(1, 4),
                  .executed = conv2d_products(x, weight, options, prepared())});
  }
  void visit(auto&& parts) { parts("weight", weight), parts("bias", bias); }

  Parameter<T> weight, bias;
  Conv2dOptions options;
};

}  // namespace gram
