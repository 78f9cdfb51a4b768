// SPDX-License-Identifier: MIT
// A layer is a struct that names its parts: void visit(auto&& parts) { parts("weight", weight), parts("bias",
// bias); }. Parts are parameters, buffers, modes, random sources, layers, and lists or optionals of layers.
// Everything that is done to all parts of a network is written here, once.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <type_traits>
#include <variant>
#include <vector>

#include "gram/core/random.hpp"
#include "gram/nn/parameter.hpp"

namespace gram {
namespace detail {

template <class P>
struct PartTraits {
  static constexpr bool parameter = false, buffer = false, list = false, maybe = false;
};
template <class T>
struct PartTraits<Parameter<T>> : PartTraits<void> {
  static constexpr bool parameter = true;
};
template <class T>
struct PartTraits<Buffer<T>> : PartTraits<void> {
  static constexpr bool buffer = true;
};
template <class L>
struct PartTraits<std::vector<L>> : PartTraits<void> {
  static constexpr bool list = true;
};
template <class L>
struct PartTraits<LayerList<L>> : PartTraits<void> {
  static constexpr bool list = true;
};
template <class L>
struct PartTraits<std::optional<L>> : PartTraits<void> {
  static constexpr bool maybe = true;
};

[[gnu::noinline]] inline std::string part_path(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

template <class Part, class F>
void walk_parts(const std::string& path, Part& part, F& f) {
  using Traits = PartTraits<Part>;
  if constexpr (Traits::parameter || Traits::buffer) {
    if (part.defined()) f(path, part);
  } else if constexpr (std::is_same_v<Part, Mode> || std::is_same_v<Part, Rng>) {
    f(path, part);
  } else if constexpr (Traits::list) {
    for (std::size_t i = 0; i < part.size(); ++i) walk_parts(part_path(path, std::to_string(i)), part[i], f);
  } else if constexpr (Traits::maybe) {
    if (part) walk_parts(path, *part, f);
  } else {
    part.visit([&](std::string_view name, auto& inner) { walk_parts(part_path(path, name), inner, f); });
  }
}

}  // namespace detail

/// f(name, part) for every Parameter, Buffer, Mode and Rng of a model, in the order of visit; absent ones are
/// left out. Names are dotted paths: "layer1.0.conv2.weight"; elements of lists are called 0, 1, ...
template <class Model, class F>
void for_each_part(Model& model, F&& f) {
  detail::walk_parts("", model, f);
}

/// f(name, parameter) for every parameter. In a bf16 network those of normalisation layers are
/// Parameter<float>.
template <class Model, class F>
void for_each_parameter(Model& model, F&& f) {
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (detail::PartTraits<Part>::parameter) f(name, part);
  });
}

/// f(name, buffer) for every buffer.
template <class Model, class F>
void for_each_buffer(Model& model, F&& f) {
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (detail::PartTraits<Part>::buffer) f(name, part);
  });
}

/// A part of a model and its name.
struct NamedPart {
  std::string name;
  std::variant<Parameter<float>*, Parameter<double>*, Parameter<bf16>*, Buffer<float>*, Buffer<double>*,
               Buffer<bf16>*, Mode*, Rng*>
      part;
};

/// All parts in a list: the walk over a network is compiled once, whatever is done with them.
template <class Model>
std::vector<NamedPart> parts_of(Model& model) {
  std::vector<NamedPart> all;
  for_each_part(model, [&](const std::string& name, auto& part) { all.push_back({name, &part}); });
  return all;
}

/// All parts of a model of T. What is done with such a list is compiled once for all models of T, and with
/// gram::compiled not at all.
template <Scalar T>
struct PartList {
  std::vector<NamedPart> parts;
};
template <Scalar T, class F>
void for_each_part(PartList<T>& list, F&& f) {
  for (const NamedPart& named : list.parts)
    std::visit(
        [&]<class Part>(Part* part) {
          constexpr bool of_model = std::is_same_v<Part, Mode> || std::is_same_v<Part, Rng> ||
                                    std::is_same_v<Part, Parameter<T>> || std::is_same_v<Part, Buffer<T>> ||
                                    std::is_same_v<Part, Parameter<accum_t<T>>> ||
                                    std::is_same_v<Part, Buffer<accum_t<T>>>;
          if constexpr (of_model) f(named.name, *part);
        },
        named.part);
}
template <Scalar T>
std::vector<NamedPart> parts_of(PartList<T>& list) {
  return list.parts;
}

namespace detail {

template <class Part>
inline constexpr bool is_parameter = PartTraits<Part>::parameter;
template <class Part>
inline constexpr bool is_tensor = PartTraits<Part>::parameter || PartTraits<Part>::buffer;

/// f(name, part) for the listed parts.
template <class F>
void for_each_listed(const std::vector<NamedPart>& parts, F&& f) {
  for (const NamedPart& named : parts) std::visit([&](auto* part) { f(named.name, *part); }, named.part);
}

inline void name_listed(const std::vector<NamedPart>& parts) {
  for_each_listed(parts, []<class Part>(const std::string& name, Part& part) {
    if constexpr (is_tensor<Part>) part.name = name;
  });
}
inline void train_listed(const std::vector<NamedPart>& parts, bool on, bool fused = false) {
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (std::is_same_v<Part, Mode>) part.training = on;
    if constexpr (is_parameter<Part>) part.fused = fused, part.prepared.reset();
  });
}
inline void share_statistics_listed(const std::vector<NamedPart>& parts, Communicator* communicator) {
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (std::is_same_v<Part, Mode>) part.communicator = communicator;
  });
}
inline void fold_listed(const std::vector<NamedPart>& parts, bool on) {
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (std::is_same_v<Part, Mode>) part.folded = on;
  });
}
inline void zero_grad_listed(const std::vector<NamedPart>& parts) {
  for_each_listed(parts, []<class Part>(const std::string&, Part& part) {
    if constexpr (is_parameter<Part>) part.zero_grad();
  });
}
inline void freeze_listed(const std::vector<NamedPart>& parts, bool frozen) {
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (is_parameter<Part>) part.set_requires_grad(!frozen);
  });
}
inline void forget_prepared_listed(const std::vector<NamedPart>& parts) {
  for_each_listed(parts, []<class Part>(const std::string&, Part& part) {
    if constexpr (is_parameter<Part>) part.prepared.reset();
  });
}
inline Index count_listed(const std::vector<NamedPart>& parts) {
  Index count = 0;
  std::set<const void*> seen;
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (is_parameter<Part>)
      if (seen.insert(part.data()).second) count += part.size();
  });
  return count;
}
inline Device device_listed(const std::vector<NamedPart>& parts) {
  Device device = Device::cpu();
  for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (is_parameter<Part>) device = part.device();
  });
  return device;
}
/// Puts place(tensor) in the place of each tensor; layers that share a parameter still do. A template, so
/// that programs which move nothing do not compile it.
template <class List, class Place>
void replace_listed(const List& parts, const Place& place) {
  std::map<const void*, void*> replaced;  // by where values were
  for_each_listed(parts, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (is_parameter<Part>) {
      const auto [first, is_new] = replaced.try_emplace(part.data(), &part);
      if (is_new || part.size() == 0)
        part.assign(place(part.detach()));
      else
        static_cast<Tensor<typename Part::value_type>&>(part) = *static_cast<const Part*>(first->second);
    } else if constexpr (is_tensor<Part>) {
      part = Part(place(part));
      part.name = name;
    }
  });
}

}  // namespace detail

/// Tells every parameter and buffer its full name, so that errors say where in the network they happened. The
/// networks in models/ do this themselves.
template <class Model>
void name_parameters(Model& model) {
  detail::name_listed(parts_of(model));
}

/// Batch statistics and dropout on, or off for evaluation.
template <class Model>
void train(Model& model, bool on = true) {
  detail::train_listed(parts_of(model), on);
}
template <class Model>
void eval(Model& model) {
  train(model, false);
}

/// Batch norms in training take their statistics over the batches of all processes, which may differ in size,
/// with one exchange in the forward and one in the backward pass of each norm; null: over this process's
/// batch alone. Every process must then run the same layers, and the communicator must outlive the training.
template <class Model>
void share_batch_statistics(Model& model, Communicator* communicator) {
  detail::share_statistics_listed(parts_of(model), communicator);
}

/// Evaluation as fast as it goes: from the first call on without gradients (NoGrad), batch norms are folded
/// into the convolutions in front of them, and weights stay in the order that the kernels read. The results
/// differ by rounding. What is kept takes the memory of the weights once more. Loading weights renews it; who
/// changes values by hand calls it again. train() and eval() end it. Not for several threads at once: a call
/// may make what is kept.
template <class Model>
void fuse_for_inference(Model& model) {
  detail::train_listed(parts_of(model), false, true);
}

/// Drops the gradients of all parameters; their memory goes back to the cache.
template <class Model>
void zero_grad(Model& model) {
  detail::zero_grad_listed(parts_of(model));
}

/// Takes all parameters of a model (or of a part of one) out of training, or back in.
template <class Model>
void freeze(Model& model, bool frozen = true) {
  detail::freeze_listed(parts_of(model), frozen);
}

/// Number of learned values; those that layers share count once.
template <class Model>
Index parameter_count(Model& model) {
  return detail::count_listed(parts_of(model));
}

/// Where the parameters of a model are; the CPU for one that has none.
template <class Model>
Device device_of(Model& model) {
  return detail::device_listed(parts_of(model));
}

/// Moves all parameters and buffers to a device; gradients are dropped.
template <class Model>
void move_to(Model& model, Device device) {
  detail::replace_listed(parts_of(model), [&](const auto& x) { return x.to(device); });
}

/// A model with values of its own. A plain copy, as everywhere a tensor is copied, has the same values: what
/// is done to one is done to both. Gradients are not copied.
template <class Model>
Model clone(const Model& model) {
  Model copy = model;
  detail::replace_listed(parts_of(copy), [](const auto& x) { return x.clone(); });
  return copy;
}

}  // namespace gram
