// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>

#include "gram/optim/optimizer.hpp"

namespace gram {

/// Adam with decoupled weight decay (arXiv:1711.05101), the update of torch.optim.AdamW at step t:
///     m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///     w = (1 - lr weight_decay) w - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon)
/// Parameters without a gradient are left as they are. Throws ArgumentError on options outside their range.
template <Scalar T>
class AdamW : public Optimizer<T> {
 public:
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 1e-2;
  };

  AdamW(ParameterList<T> parameters, const Options& options)
      : Optimizer<T>(std::move(parameters), checked(options).lr, {"exp_avg", "exp_avg_sq"}),
        options_(options) {}

  void step() {
    using A = accum_t<T>;
    this->template update_all<AdamWStep>(
        [this](const auto& p, double t) {
          const double lr = this->lr() * p.lr_factor;
          return AdamWStep<A>{.beta1 = static_cast<A>(options_.beta1),
                              .share1 = static_cast<A>(1 - options_.beta1),
                              .beta2 = static_cast<A>(options_.beta2),
                              .share2 = static_cast<A>(1 - options_.beta2),
                              .keep = static_cast<A>(1 - lr * options_.weight_decay * p.decay_factor),
                              .step = static_cast<A>(lr / (1 - std::pow(options_.beta1, t))),
                              .correction = static_cast<A>(1 / std::sqrt(1 - std::pow(options_.beta2, t))),
                              .epsilon = static_cast<A>(options_.epsilon)};
        },
        [](auto device, auto items) { kernels::adamw(device, items); });
  }

 private:
  static const Options& checked(const Options& o) {
    require<ArgumentError>(o.lr >= 0 && o.weight_decay >= 0 && o.epsilon >= 0, "AdamW: lr is ", o.lr,
                           ", weight_decay ", o.weight_decay, ", epsilon ", o.epsilon,
                           ", but none may be negative");
    require<ArgumentError>(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1, "AdamW: beta1 is ",
                           o.beta1, " and beta2 ", o.beta2, ", but both must lie in [0, 1)");
    return o;
  }

  Options options_;
};

}  // namespace gram
