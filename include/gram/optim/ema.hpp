// SPDX-License-Identifier: MIT
#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gram/cpu/average.hpp"
#include "gram/cuda/average.hpp"
#include "gram/nn/module.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// Exponential moving averages of all parameters and running statistics of a model,
///     average <- decay average + (1 - decay) value
/// after each step; they begin as the values. Kept in accum_t<T>. What the averages are for is evaluated and
/// saved with them in the place of the values:
///     Ema<float> ema(model, {.decay = 0.9998});
///     ... optimizer.step(), ema.update(); ...           (EpochOptions::after_update in train_epoch())
///     { const Ema<float>::InPlace averages(ema);  evaluate(model, loader); }
/// Handles on the model's tensors, as optimisers have: made after the model was moved to its device. Throws
/// ArgumentError unless decay is in [0, 1].
/// Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992, in the
/// exponential form that timm's recipes use.
template <Scalar T>
class Ema {
  using Wide = accum_t<T>;

 public:
  struct Options {
    double decay = 0.9999;
  };
  /// While one lives, the model has the averages, rounded to its type, for values.
  class InPlace {
   public:
    explicit InPlace(Ema& ema) : ema_(ema) { ema_.exchange(true); }
    ~InPlace() {
      try {
        ema_.exchange(false);
      } catch (const Error&) {  // of a device that has failed: every later use of it says so
      }
    }
    InPlace(const InPlace&) = delete;
    InPlace& operator=(const InPlace&) = delete;

   private:
    Ema& ema_;
  };

  template <class Model>
  explicit Ema(Model& model, const Options& options = {}) : decay_(options.decay) {
    require<ArgumentError>(decay_ >= 0 && decay_ <= 1, "Ema: decay is ", decay_,
                           "; it must be between 0 and 1");
    std::set<const void*> seen;
    PartList<T> parts{parts_of(model)};
    for_each_part(parts, [&]<class Part>(const std::string& name, Part& part) {
      if constexpr (detail::is_tensor<Part>)
        if (part.size() > 0 && seen.insert(part.data()).second) slots_of(part).push_back({name, part});
    });
    for_each([](auto& slot) { slot.average = converted<Wide>(slot.value.detach()).clone(); });
  }

  /// Moves the averages towards the values; behind each step of the optimiser. May be a part of a captured
  /// step. Throws Error while the averages are in the model's place.
  void update() {
    require<Error>(!in_place_, "Ema::update: the averages are in the place of the model's values");
    move(slots_);
    if constexpr (!std::same_as<T, Wide>) move(wide_);
  }
  /// The averages by name; handles on the live state: copying values into them restores it.
  std::vector<std::pair<std::string, Tensor<Wide>>> state() const {
    std::vector<std::pair<std::string, Tensor<Wide>>> all;
    for (const auto& slot : slots_) all.emplace_back(slot.name, slot.average);
    for (const auto& slot : wide_) all.emplace_back(slot.name, slot.average);
    return all;
  }

 private:
  template <class P>
  struct Slot {
    std::string name;
    Tensor<P> value;
    Tensor<Wide> average{};
    Tensor<P> aside{};  ///< the value while the average is in its place
  };

  template <class P>
  auto& slots_of(const Tensor<P>&) {
    if constexpr (std::same_as<P, T>)
      return slots_;
    else
      return wide_;
  }
  template <class F>
  void for_each(F&& f) {
    for (auto& slot : slots_) f(slot);
    for (auto& slot : wide_) f(slot);
  }
  template <class P>
  void move(const std::vector<Slot<P>>& slots) {
    if (slots.empty()) return;
    std::vector<kernels::AverageItem<P>> items;
    for (const Slot<P>& slot : slots)
      items.push_back({slot.average.data(), slot.value.data(), slot.value.size()});
    on(slots[0].value.device(), [&](auto device) {
      kernels::move_averages(device, std::span<const kernels::AverageItem<P>>(items), decay_);
    });
  }
  void exchange(bool in) {
    require<Error>(in != in_place_, "Ema: the averages are in the place of the model's values already");
    in_place_ = in;
    for_each([&]<class P>(Slot<P>& slot) {
      if (in) slot.aside = slot.value.detach().clone();
      const Tensor<P> values = in ? converted<P>(slot.average) : std::exchange(slot.aside, {});
      on(slot.value.device(),
         [&](auto device) { kernels::copy(device, values.data(), slot.value.data(), values.size()); });
      if (slot.value.requires_grad()) ++slot.value.autograd()->updates;
    });
  }

  double decay_;
  bool in_place_ = false;
  std::vector<Slot<T>> slots_;
  std::vector<Slot<Wide>> wide_;  // of a bf16 network what is float there
};

}  // namespace gram
