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

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> y = located(weight, [&] {
      if (weight.fused && !grad_enabled())
        return prepared_linear("linear", weight, bias, 1, static_cast<const void*>(nullptr), x, {}, false);
      return linear(x, weight, bias);
    });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(weight.name),
                .kind = "Linear",
                .output = y.shape(),
                .parameters = weight.size() + bias.size(),
                .products = y.size() * weight.dim(1)});
    return y;
  }
  void visit(auto&& parts) { parts("weight", weight), parts("bias", bias); }

  Parameter<T> weight, bias;
};

}  // namespace gram
