// SPDX-License-Identifier: MIT
#pragma once
#include "gram/optim/optimizer.hpp"

namespace gram {

/// Stochastic gradient descent with momentum, the update of torch.optim.SGD:
///     d = g + weight_decay w;  b = momentum b + (1 - dampening) d  (b = d at first);  w = w - lr (nesterov ?
///     d + momentum b : b)
/// Parameters without a gradient are left as they are. Throws ArgumentError on options outside their range.
template <Scalar T>
class Sgd : public Optimizer<T> {
 public:
  struct Options {
    double lr = 0.1;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;
    double dampening = 0;
  };

  Sgd(ParameterList<T> parameters, const Options& options)
      : Optimizer<T>(std::move(parameters), options.lr, names(checked(options))), options_(options) {}

  void step() {
    using A = accum_t<T>;
    this->template update_all<SgdStep>(
        [this](const auto& p, double t) {
          return SgdStep<A>{.lr = static_cast<A>(this->lr() * p.lr_factor),
                            .momentum = static_cast<A>(options_.momentum),
                            .share = static_cast<A>(1 - options_.dampening),
                            .weight_decay = static_cast<A>(options_.weight_decay * p.decay_factor),
                            .nesterov = options_.nesterov,
                            .first = t == 1};
        },
        [](auto device, auto items) { kernels::sgd(device, items); });
  }

 private:
  static const Options& checked(const Options& o) {
    require<ArgumentError>(o.lr >= 0 && o.momentum >= 0 && o.weight_decay >= 0, "Sgd: lr is ", o.lr,
                           ", momentum ", o.momentum, ", weight_decay ", o.weight_decay,
                           ", but none may be negative");
    require<ArgumentError>(o.dampening >= 0 && o.dampening <= 1, "Sgd: dampening is ", o.dampening,
                           "; it must be between 0 and 1");
    require<ArgumentError>(!o.nesterov || (o.momentum > 0 && o.dampening == 0),
                           "Sgd: nesterov is set, but momentum is ", o.momentum, " and dampening ",
                           o.dampening, "; it needs momentum and no dampening");
    return o;
  }
  static std::vector<const char*> names(const Options& o) {
    return o.momentum > 0 ? std::vector<const char*>{"momentum_buffer"} : std::vector<const char*>{};
  }

  Options options_;
};

}  // namespace gram
