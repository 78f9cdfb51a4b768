// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/optimizer.hpp"
#include "gram/cuda/optimizer.hpp"
#include "gram/optim/parameters.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// Everything an optimiser remembers, by name ("layer1.0.conv1.weight.exp_avg"). The tensors are handles on
/// the live state: copying values into them restores it.
template <Scalar T>
struct OptimizerState {
  std::vector<std::pair<std::string, Tensor<accum_t<T>>>> tensors;
  std::vector<std::pair<std::string, Tensor<std::int64_t>>>
      steps;  ///< updates each parameter has had, one element each
};

/// What all optimisers share: parameters, learning rate, state. State is allocated at construction, in
/// accum_t<T>; bf16 parameters have float master values, which the updates are made in.
template <Scalar T>
class Optimizer {
 public:
  const ParameterList<T>& parameters() const { return parameters_; }
  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }
  /// Drops the gradients of all parameters.
  void zero_grad() const {
    parameters_.for_each([](const auto& p) { p.value.zero_grad(); });
  }
  OptimizerState<T> state() const {
    OptimizerState<T> all;
    auto slot = slots_.begin();
    parameters_.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
      if constexpr (!std::same_as<P, Wide>) all.tensors.emplace_back(p.name + ".master", slot->values);
      for (std::size_t i = 0; i < slot->state.size(); ++i)
        all.tensors.emplace_back(p.name + "." + state_names_[i], slot->state[i]);
      all.steps.emplace_back(p.name + ".step", slot->steps);
      ++slot;
    });
    return all;
  }

 protected:
  using Wide = accum_t<T>;

  struct Slot {
    Tensor<Wide> values;  ///< the parameter itself, or its master copy
    std::vector<Tensor<Wide>> state;
    Tensor<std::int64_t> steps;
  };

  Optimizer(ParameterList<T> parameters, double lr, std::vector<const char*> state_names)
      : parameters_(std::move(parameters)), lr_(lr), state_names_(std::move(state_names)) {
    parameters_.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
      Slot slot;
      if constexpr (std::same_as<P, Wide>)
        slot.values = p.value.detach();
      else
        slot.values = converted<Wide>(p.value.detach());
      for (std::size_t i = 0; i < state_names_.size(); ++i)
        slot.state.push_back(zeros<Wide>(p.value.shape(), p.value.device()));
      slot.steps = zeros<std::int64_t>({});  // the count is the host's
      slots_.push_back(std::move(slot));
    });
  }

  /// update(parameter, its gradient, slot) for each parameter that has a gradient, after its steps have been
  /// counted.
  template <class F>
  void for_each_gradient(F&& update) {
    auto slot = slots_.begin();
    parameters_.for_each([&](const auto& p) {
      if (const auto gradient = p.value.grad(); gradient.defined()) {
        ++slot->steps.data()[0];
        update(p, gradient, *slot);
      }
      ++slot;
    });
  }

 private:
  ParameterList<T> parameters_;
  std::vector<Slot> slots_;
  double lr_;
  std::vector<const char*> state_names_;
};

}  // namespace gram
