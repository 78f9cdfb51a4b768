// SPDX-License-Identifier: MIT
// Everything that a training goes on from, in one safetensors file: weights and buffers under their names, as
// save_weights() writes them; what the optimiser remembers, "optimizer.NAME.exp_avg", with the float masters
// of a bf16 network, "optimizer.NAME.master"; the places of the random sources, "random.NAME"; how many
// epochs are done, "training.epochs"; and, as text, the settings that the training was started with, and a
// checksum of all tensors.
#pragma once
#include "gram/io/weights.hpp"
#include "gram/optim/optimizer.hpp"

namespace gram {

/// What a training was started with and must go on with, "batch" -> "128".
using TrainingSettings = SafeTensors::Metadata;

namespace detail {

/// f(name, part) for the random sources of a model.
template <class Model, class F>
void for_each_source(Model& model, F&& f) {
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (std::is_same_v<Part, Rng>) f("random." + name, part);
  });
}
inline Tensor<std::int64_t> place_of(const Rng& rng) {
  return Tensor<std::int64_t>(
      {2}, {std::bit_cast<std::int64_t>(rng.seed()), std::bit_cast<std::int64_t>(rng.position())});
}

/// Throws FileError where the settings in a file are others, naming both.
inline void require_settings(const SafeTensors& file, const TrainingSettings& settings) {
  std::string different;
  for (const auto& [name, value] : settings) {
    const auto stored = file.metadata().find(name);
    const bool known = stored != file.metadata().end();
    if (known && stored->second == value) continue;
    different += text(different.empty() ? "" : ", ", name, " ", known ? printable(stored->second) : "unknown",
                      ", not ", printable(value));
  }
  require<FileError>(different.empty(), printable(file.path()),
                     ": the state of a training with other settings: ", different);
}

template <Scalar T>
void save_state(PartList<T> model, const Optimizer<T>& optimizer, Index epochs, const std::string& path,
                const TrainingSettings& settings) {
  SafeTensorsWriter writer;
  for (const auto& [name, value] : settings) writer.metadata.insert_or_assign(name, value);
  for_each_weight(model, [&]<class P>(const std::string& name, Tensor<P>& part, Layout layout) {
    writer.add(name, to_file_layout(part.to(Device::cpu()), layout));
  });
  const OptimizerState<T> state = optimizer.state();
  for (const auto& [name, values] : state.tensors) writer.add("optimizer." + name, values);
  for (const auto& [name, count] : state.steps) writer.add("optimizer." + name, count);
  for_each_source(model, [&](const std::string& name, const Rng& rng) { writer.add(name, place_of(rng)); });
  writer.add("training.epochs", full<std::int64_t>({}, epochs));
  writer.metadata["checksum"] = writer.checksum();
  writer.write(path);
}

template <Scalar T>
Index load_state(PartList<T> model, const Optimizer<T>& optimizer, const std::string& path,
                 const TrainingSettings& settings) {
  const SafeTensors file = SafeTensors::read(path);
  require<FileError>(file.contains("training.epochs"), printable(path),
                     ": not the state of a training; weights alone do not say how to go on");
  require_settings(file, settings);
  PendingLoad load = pending_load(model, file, {.strict = false, .strip = {}});
  std::set<std::string> used;
  const auto read = [&]<Element E>(const std::string& name, const Shape& expected) -> Tensor<E> {
    used.insert(name);
    if (!file.contains(name)) return load.report.missing.push_back(name), Tensor<E>{};
    if (file.shape(name) == expected) return file.tensor<E>(name);
    load.report.mismatched.push_back({name, expected, file.shape(name)});
    return {};
  };
  const auto restore = [&]<Element E>(const std::string& name, const Tensor<E>& target) {
    const Tensor<E> values = read.template operator()<E>("optimizer." + name, target.shape());
    if (!values.defined()) return;
    load.copies.push_back([values = values.to(target.device()), target] {
      on(target.device(),
         [&](auto device) { kernels::copy(device, values.data(), target.data(), target.size()); });
    });
  };
  const OptimizerState<T> state = optimizer.state();
  for (const auto& [name, values] : state.tensors) restore(name, values);
  for (const auto& [name, count] : state.steps) restore(name, count);
  for_each_source(model, [&](const std::string& name, Rng& rng) {
    const auto place = read.template operator()<std::int64_t>(name, {2});
    if (place.defined())
      load.copies.push_back([place, &rng] {
        rng.restore(std::bit_cast<std::uint64_t>(place.data()[0]),
                    std::bit_cast<std::uint64_t>(place.data()[1]));
      });
  });
  const auto epochs = read.template operator()<std::int64_t>("training.epochs", {});
  std::erase_if(load.report.unexpected, [&](const std::string& name) { return used.contains(name); });
  require<FileError>(load.report.complete(), printable(path),
                     ": not the state of this training: ", to_text(load.report));
  require<FileError>(epochs.item() >= 0, printable(path), ": ", epochs.item(), " epochs are done");
  load.commit();
  return epochs.item();
}

}  // namespace detail

/// Writes the state of a training whose first `epochs` epochs are done. Throws FileError when the file cannot
/// be written; the old one stays.
template <Scalar T, class Model>
void save_training_state(Model& model, const Optimizer<T>& optimizer, Index epochs, const std::string& path,
                         const TrainingSettings& settings = {}) {
  detail::save_state(PartList<T>{parts_of(model)}, optimizer, epochs, path, settings);
}

/// Puts a model and its optimiser into the state that save_training_state() wrote, to the bit, on whatever
/// device they are, and returns how many epochs are done. Both must be what they were: the same network in
/// the same precision, the same kind of optimiser; all of `settings` must be in the file as well. Throws
/// FileError, naming what does not fit, before anything is changed.
template <Scalar T, class Model>
Index load_training_state(Model& model, const Optimizer<T>& optimizer, const std::string& path,
                          const TrainingSettings& settings = {}) {
  return detail::load_state(PartList<T>{parts_of(model)}, optimizer, path, settings);
}

/// The weights alone, for those who do not train on: load_weights(model, path, {.rename = weights_of_state}).
inline std::string weights_of_state(const std::string& name) {
  for (const char* other : {"optimizer.", "random.", "training."})
    if (name.starts_with(other)) return "";
  return name;
}

}  // namespace gram
