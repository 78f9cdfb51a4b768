// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/batch_norm.hpp"
#include "gram/nn/folded.hpp"
#include "gram/nn/init.hpp"
#include "gram/ops/linear.hpp"

namespace gram {

/// A 1x1 convolution: the same (grouped) linear map at every position, of a map, of tokens or of a single
/// vector. x (..., I) -> y (..., O); weight (O, I/G), in files (O, I/G, 1, 1) as that of torch.nn.Conv2d;
/// bias (O). Outputs [j O/G, (j+1) O/G) read inputs [j I/G, (j+1) I/G). Throws ArgumentError when groups does
/// not divide I and O.
template <Scalar T>
struct Pointwise {
  struct Options {
    Index in = 0, out = 0;
    Index groups = 1;
    bool bias = true;
    Init init = Init::pytorch;
  };

  Pointwise(const Options& o, Rng& rng) : groups(o.groups) {
    require<ArgumentError>(o.in > 0 && o.out > 0, "Pointwise: ", o.in, " inputs and ", o.out,
                           " outputs; both must be positive");
    require<ArgumentError>(o.groups > 0 && o.in % o.groups == 0 && o.out % o.groups == 0,
                           "Pointwise: ", o.groups, " groups; they must divide ", o.in, " inputs and ", o.out,
                           " outputs");
    weight = Parameter<T>(init::weight<T>({o.out, o.in / o.groups}, o.init, rng), Layout::pointwise);
    bias = Parameter<T>(init::bias<T>(o.bias, weight.shape(), o.init, rng));
  }

  /// layer(x) [+ residual], the sum made where the product is; residual (..., O) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    if (prepared()) return inference(x, nullptr, residual, false);
    const Tensor<T> y = located(weight, [&] {
      return groups == 1 ? linear(x, weight, bias, residual)
                         : grouped_linear(x, weight, bias, groups, residual);
    });
    log(y.shape());
    return y;
  }
  /// True when calls run what fuse_for_inference() asked for.
  bool prepared() const { return weight.fused && !grad_enabled(); }
  /// [relu](norm(layer(x)) [+ residual]) in one pass, without a gradient; norm may be null.
  Tensor<T> inference(const Tensor<T>& x, const BatchNorm2d<T>* norm, const Tensor<T>& residual,
                      bool relu) const {
    const Tensor<T> y = located(weight, [&] {
      return prepared_linear(groups == 1 ? "linear" : "grouped_linear", weight, bias, groups, norm, x,
                             residual, relu);
    });
    log(y.shape());
    return y;
  }
  /// Writes a call with this output into the open log, if any: for forms that compute several of these layers
  /// at once.
  void log(const Shape& output) const {
    if (CallLog* calls = CallLog::open())
      calls->add({.path = layer_path(weight.name),
                  .kind = "Pointwise",
                  .output = output,
                  .parameters = weight.size() + bias.size(),
                  .products = output.size() * weight.dim(1)});
  }
  void visit(auto&& parts) { parts("weight", weight), parts("bias", bias); }

  Parameter<T> weight, bias;
  Index groups;
};

}  // namespace gram
