// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <optional>
#include <span>

#include "gram/core/cuda_capture.hpp"
#include "gram/core/names.hpp"
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
  /// Throws ArgumentError unless it is a number from 0.
  void set_lr(double lr) {
    require<ArgumentError>(lr >= 0 && std::isfinite(lr), "Optimizer: lr is ", lr,
                           "; a number from 0 is needed");
    lr_ = lr;
  }
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
    std::optional<Device> device;
    parameters_.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
      if (!device) device = p.value.device();
      require<ArgumentError>(*device == p.value.device(), "Optimizer: parameter ", printable(p.name),
                             " is on ", to_text(p.value.device()), ", others are on ", to_text(*device),
                             "; one device is needed");
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

  /// Updates every parameter that has a gradient; throws Error when none has. Steps are counted first:
  /// numbers(parameter, t) are those of its step t; update(device, items) does the work for all parameters of
  /// one type together. While a CUDA graph is captured nothing is counted, but every replay counts and takes
  /// its own numbers, so that the optimiser must stay where it is.
  template <template <class> class Step, class Numbers, class Update>
  void update_all(const Numbers& numbers, const Update& update) {
    std::vector<kernels::OptimizerItem<T, Step<Wide>>> items;
    std::vector<kernels::OptimizerItem<Wide, Step<Wide>>> wide_items;
    Device where = Device::cpu();
    auto next = slots_.begin();
    parameters_.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
      Slot& slot = *next++;
      const Tensor<P> gradient = p.value.grad();
      if (!gradient.defined()) return;
      where = p.value.device();
      ++p.value.autograd()->updates;
      kernels::OptimizerItem<P, Step<Wide>> item{
          p.value.data(), slot.values.data(), gradient.data(), {}, p.value.size(), {}, nullptr};
      for (std::size_t i = 0; i < slot.state.size(); ++i) item.state[i] = slot.state[i].data();
      const auto counted = [&p, &slot, numbers] {
        return numbers(p, static_cast<double>(++slot.steps.data()[0]));
      };
      if (cuda::current_capture && where.kind() == Device::Kind::cuda)
        item.live = cuda::current_capture->live(counted);
      else
        item.step = counted();
      if constexpr (std::same_as<P, T>)
        items.push_back(item);
      else
        wide_items.push_back(item);
    });
    require<Error>(!items.empty() || !wide_items.empty() || parameters_.size() == 0,
                   "Optimizer: none of the ", parameters_.size(),
                   " parameters has a gradient; run backward() before the step, and make the optimiser after "
                   "the model was moved");
    on(where, [&](auto device) {
      update(device, std::span<const kernels::OptimizerItem<T, Step<Wide>>>(items));
      update(device, std::span<const kernels::OptimizerItem<Wide, Step<Wide>>>(wide_items));
    });
  }

 private:
  ParameterList<T> parameters_;
  std::vector<Slot> slots_;
  double lr_;
  std::vector<const char*> state_names_;
};

}  // namespace gram
