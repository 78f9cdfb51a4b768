// SPDX-License-Identifier: MIT
#pragma once
#include <set>
#include <string>
#include <vector>

#include "gram/nn/module.hpp"

namespace gram {

/// A learned tensor as an optimiser sees it. Its learning rate and weight decay are the optimiser's times
/// these factors; biases and the parameters of norms, which have one axis, do not decay.
template <Scalar T>
struct NamedParameter {
  std::string name;
  Tensor<T> value;
  double lr_factor = 1;
  double decay_factor = value.rank() >= 2 ? 1 : 0;
};

/// The learned tensors of a network of T. In bf16 networks those of normalisation layers are float; both
/// kinds are here.
template <Scalar T>
class ParameterList {
 public:
  ParameterList() = default;
  ParameterList(std::vector<NamedParameter<T>> parameters) : parameters_(std::move(parameters)) {}

  void add(NamedParameter<T> parameter) { parameters_.push_back(std::move(parameter)); }
  void add(NamedParameter<accum_t<T>> parameter) requires(!std::same_as<T, accum_t<T>>) {
    wide_.push_back(std::move(parameter));
  }

  /// f(parameter) for each, by reference: a rule for groups of parameters is a loop,
  ///     list.for_each([](auto& p) { if (p.name.starts_with("head")) p.lr_factor = 10; });
  template <class F>
  void for_each(F&& f) {
    for (auto& p : parameters_) f(p);
    for (auto& p : wide_) f(p);
  }
  template <class F>
  void for_each(F&& f) const {
    for (const auto& p : parameters_) f(p);
    for (const auto& p : wide_) f(p);
  }
  std::size_t size() const { return parameters_.size() + wide_.size(); }

 private:
  std::vector<NamedParameter<T>> parameters_;
  std::vector<NamedParameter<accum_t<T>>> wide_;
};

/// The parameters of a model that require a gradient, under their full names; one that several layers share
/// is there once, under its first name. They are handles: take them after weights have been loaded, layers
/// frozen and the model moved to its device. Throws ArgumentError for a model of another type than T.
template <Scalar T, class Model>
ParameterList<T> named_parameters(Model& model) {
  ParameterList<T> list;
  PartList<T> parts{parts_of(model)};
  for (const NamedPart& named : parts.parts)
    std::visit(
        [&]<class Part>(Part*) {
          if constexpr (detail::is_parameter<Part>) {
            using P = typename Part::value_type;
            require<ArgumentError>(std::same_as<P, T> || std::same_as<P, accum_t<T>>,
                                   "named_parameters: ", named.name, " is of ", type_name<P>(),
                                   ", but parameters of ", type_name<T>(), " are asked for");
          }
        },
        named.part);
  std::set<const void*> seen;
  for_each_parameter(parts, [&]<Scalar P>(const std::string& name, const Parameter<P>& parameter) {
    if (parameter.requires_grad() && seen.insert(parameter.autograd().get()).second)
      list.add(NamedParameter<P>{name, parameter});
  });
  return list;
}

}  // namespace gram
