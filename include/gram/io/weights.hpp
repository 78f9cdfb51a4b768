// SPDX-License-Identifier: MIT
// The weights of a network to and from safetensors files with PyTorch's names and layouts.
#pragma once
#include <functional>
#include <set>

#include "gram/io/layout.hpp"
#include "gram/io/safetensors_writer.hpp"
#include "gram/nn/module.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

struct LoadOptions {
  /// Throw unless the names and shapes of file and network agree. Otherwise load what fits.
  bool strict = true;
  /// Prefixes that training wrappers put before every name; they are taken away first.
  std::vector<std::string> strip = {"module.", "_orig_mod."};
  /// The network's name for a name of the file; "" leaves the tensor out.
  std::function<std::string(const std::string&)> rename = {};
  /// Values of the shape that the network expects from those of a file that has another one, both as in
  /// files: position embeddings for images of another size. An undefined tensor leaves it a mismatch.
  std::function<Tensor<float>(const std::string& name, const Tensor<float>& values, const Shape& expected)>
      resize = {};
};

/// How a file and a network differ. Names are the network's, except the unexpected ones.
struct LoadReport {
  struct Mismatch {
    std::string name;
    Shape expected, found;  ///< as in files
  };
  std::vector<std::string> missing;     ///< in the network, not in the file
  std::vector<std::string> unexpected;  ///< in the file, not in the network
  std::vector<Mismatch> mismatched;     ///< in both, with different shapes
  std::vector<std::string> resized;     ///< in both, brought to shape by LoadOptions::resize

  /// True when everything fits.
  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
};

/// "2 missing (a.weight, a.bias); 1 of another shape (b.weight expects (10, 64), found (100, 64))"; "" when
/// complete.
inline std::string to_text(const LoadReport& report) {
  constexpr std::size_t shown = 20;
  std::string all;
  const auto list = [&](const auto& items, std::string_view what, auto&& item_text) {
    if (items.empty()) return;
    all += text(all.empty() ? "" : "; ", items.size(), " ", what, " (");
    for (std::size_t i = 0; i < items.size() && i < shown; ++i) all += (i ? ", " : "") + item_text(items[i]);
    all += items.size() > shown ? ", ..)" : ")";
  };
  const auto plain = [](const std::string& name) {
    const std::string safe = printable(name);
    return safe.substr(1, safe.size() - 2);
  };
  list(report.missing, "missing", plain);
  list(report.unexpected, "unexpected", plain);
  list(report.mismatched, "of another shape", [&](const LoadReport::Mismatch& m) {
    return text(plain(m.name), " expects ", m.expected, ", found ", m.found);
  });
  return all;
}

namespace detail {

/// Takes prefixes away until the name begins with none of them.
inline std::string without_prefixes(std::string name, const std::vector<std::string>& prefixes) {
  for (std::size_t i = 0; i < prefixes.size();) {
    const bool found = !prefixes[i].empty() && name.starts_with(prefixes[i]);
    if (found) name.erase(0, prefixes[i].size());
    i = found ? 0 : i + 1;
  }
  return name;
}

/// The network's name for each tensor of a file.
inline std::map<std::string, std::string> network_names(const SafeTensors& file, const LoadOptions& options) {
  std::map<std::string, std::string> names;
  for (const std::string& stored : file.names()) {
    std::string name = without_prefixes(stored, options.strip);
    if (options.rename) name = options.rename(name);
    if (name.empty() || name == "num_batches_tracked" || name.ends_with(".num_batches_tracked")) continue;
    const auto [other, added] = names.emplace(name, stored);
    require<FileError>(added, printable(file.path()), ": both ", printable(other->second), " and ",
                       printable(stored), " are named ", printable(name));
  }
  return names;
}

template <class Part>
Layout layout_of(const Part& part) {
  if constexpr (PartTraits<Part>::parameter)
    return part.layout;
  else
    return Layout::plain;
}

/// f(name, part, layout) for the parts of a model that have values.
template <class Model, class F>
void for_each_weight(Model& model, F&& f) {
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (PartTraits<Part>::parameter || PartTraits<Part>::buffer) f(name, part, layout_of(part));
  });
}

/// The values of a tensor of a file, in this shape; undefined when it has another one and is not resized.
template <Element T>
Tensor<T> values_of_shape(const SafeTensors& file, const std::string& stored, const std::string& name,
                          const Shape& expected, const LoadOptions& options) {
  if (file.shape(stored) == expected) return file.tensor<T>(stored);
  const Tensor<float> resized =
      options.resize ? options.resize(name, file.tensor<float>(stored), expected) : Tensor<float>{};
  if (!resized.defined()) return {};
  require(resized.shape() == expected, "load_weights: ", printable(name), " was resized to ", resized.shape(),
          ", but the network expects ", expected);
  return converted<T>(resized.detach());
}

/// What a load will do to a network once all of the file is known to be good.
struct PendingLoad {
  LoadReport report;
  std::vector<std::function<void()>> copies;

  void commit() const {
    for (const auto& copy : copies) copy();
  }
};

template <class Model>
PendingLoad pending_load(Model& model, const SafeTensors& file, const LoadOptions& options) {
  file.require_undamaged();
  const auto names = network_names(file, options);
  PendingLoad load;
  std::set<std::string> used;
  for_each_weight(model, [&]<class T>(const std::string& name, Tensor<T>& part, Layout layout) {
    const auto stored = names.find(name);
    if (stored == names.end()) return load.report.missing.push_back(name);
    used.insert(name);
    const Shape expected = file_shape(part.shape(), layout), found = file.shape(stored->second);
    const Tensor<T> read = values_of_shape<T>(file, stored->second, name, expected, options);
    if (!read.defined()) return load.report.mismatched.push_back({name, expected, found});
    if (!(found == expected)) load.report.resized.push_back(name);
    const Tensor<T> values = from_file_layout(read, part.shape(), layout).to(part.device());
    load.copies.push_back([values, target = part.detach()] {
      on(target.device(),
         [&](auto device) { kernels::copy(device, values.data(), target.data(), target.size()); });
    });
  });
  for (const auto& [name, stored] : names)
    if (!used.contains(name)) load.report.unexpected.push_back(stored);
  load.copies.push_back([parts = parts_of(model)] { forget_prepared_listed(parts); });
  return load;
}

}  // namespace detail

/// Copies the tensors of a file into the parameters and buffers of a model, converted to their types and
/// layouts; PyTorch's num_batches_tracked is passed over. Throws FileError, with the names and both shapes,
/// when they do not fit and options.strict is set, when values cannot be read, or when the file has a
/// checksum, as the state of a training has, and is damaged; then the model is as it was.
template <class Model>
LoadReport load_weights(Model& model, const SafeTensors& file, const LoadOptions& options = {}) {
  const detail::PendingLoad load = detail::pending_load(model, file, options);
  require<FileError>(load.report.complete() || !options.strict, printable(file.path()),
                     ": the weights do not fit the network: ", to_text(load.report));
  load.commit();
  return load.report;
}
template <class Model>
LoadReport load_weights(Model& model, const std::string& path, const LoadOptions& options = {}) {
  return load_weights(model, SafeTensors::read(path), options);
}

/// Writes the parameters and buffers of a model under their names, in PyTorch's layouts. Throws FileError
/// when the file cannot be written; the old one stays.
template <class Model>
void save_weights(Model& model, const std::string& path) {
  SafeTensorsWriter writer;
  detail::for_each_weight(model, [&]<class T>(const std::string& name, Tensor<T>& part, Layout layout) {
    writer.add(name, to_file_layout(part.to(Device::cpu()), layout));
  });
  writer.write(path);
}

}  // namespace gram
