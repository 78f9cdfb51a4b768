// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/folded.hpp"
#include "gram/nn/init.hpp"
#include "gram/nn/trace.hpp"
#include "gram/ops/linear.hpp"

namespace gram {

/// y = x W^T + b.   x (..., I) -> y (..., O); weight (O, I), bias (O), both uniform(+-1/sqrt(I)) by default.
/// Names and layouts are those of torch.nn.Linear. Throws ArgumentError when an extent is not positive.
template <Scalar T>
struct Linear {
  struct Options {
    Index in = 0, out = 0;
    bool bias = true;
    Init init = Init::pytorch;
  };

  Linear(const Options& o, Rng& rng) {
    require<ArgumentError>(o.in > 0 && o.out > 0, "Linear: ", o.in, " inputs and ", o.out,
                           " outputs; both must be positive");
    weight = Parameter<T>(init::weight<T>({o.out, o.in}, o.init, rng));
    bias = Parameter<T>(init::bias<T>(o.bias, weight.shape(), o.init, rng));
  }

  /// layer(x) [+ residual], the sum made where the product is; residual (..., O) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    if (prepared()) return inference(x, residual);
    const Tensor<T> y = located(weight, [&] { return linear(x, weight, bias, residual); });
    log(y.shape());
    return y;
  }
  /// True when calls run what fuse_for_inference() asked for.
  bool prepared() const { return weight.fused && !grad_enabled(); }
  /// [gelu](layer(x) [+ residual]) in one pass, without a gradient; residual (..., O) or {}.
  Tensor<T> inference(const Tensor<T>& x, const Tensor<T>& residual, bool gelu = false) const {
    const Tensor<T> y = located(weight, [&] {
      return prepared_linear("linear", weight, bias, 1, static_cast<const void*>(nullptr), x, residual, false,
                             gelu);
    });
    log(y.shape());
    return y;
  }
  /// Writes a call with this output into the open log, if any: for forms that compute several layers at once.
  void log(const Shape& output) const {
    if (CallLog* calls = CallLog::open())
      calls->add({.path = layer_path(weight.name),
                  .kind = "Linear",
                  .output = output,
                  .parameters = weight.size() + bias.size(),
                  .products = output.size() * weight.dim(1)});
  }
  void visit(auto&& parts) { parts("weight", weight), parts("bias", bias); }

  Parameter<T> weight, bias;
};

}  // namespace gram
