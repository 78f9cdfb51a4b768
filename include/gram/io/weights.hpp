// SPDX-License-Identifier: MIT
// The weights of a network to and from safetensors files with PyTorch's names and layouts.
#pragma once
#include <functional>
#include <set>

#include "gram/io/layout.hpp"
#include "gram/io/safetensors.hpp"
#include "gram/nn/module.hpp"

namespace gram {

struct LoadOptions {
  /// Throw unless the names and shapes of file and network agree. Otherwise load what fits.
  bool strict = true;
  /// Prefixes that training wrappers put before every name; they are taken away first.
  std::vector<std::string> strip = {"module.", "_orig_mod."};
  /// The network's name for a name of the file; "" leaves the tensor out.
  std::function<std::string(const std::string&)> rename = {};
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

/// The network's name for each tensor of a file.
inline std::map<std::string, std::string> network_names(const SafeTensors& file, const LoadOptions& options) {
  std::map<std::string, std::string> names;
  for (const std::string& stored : file.names()) {
    std::string name = stored;
    for (std::size_t i = 0; i < options.strip.size();) {
      const std::string& prefix = options.strip[i];
      const bool found = !prefix.empty() && name.starts_with(prefix);
      if (found) name.erase(0, prefix.size());
      i = found ? 0 : i + 1;
    }
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

}  // namespace detail

/// Copies the tensors of a file into the parameters and buffers of a model, converted to their types and
/// layouts; PyTorch's num_batches_tracked is passed over. Throws FileError, with the names and both shapes,
/// when they do not fit and options.strict is set, or when values cannot be read; then the model is as it
/// was.
template <class Model>
LoadReport load_weights(Model& model, const SafeTensors& file, const LoadOptions& options = {}) {
  const auto names = detail::network_names(file, options);
  LoadReport report;
  std::set<std::string> used;
  std::vector<std::function<void()>> copies;
  detail::for_each_weight(model, [&]<class T>(const std::string& name, Tensor<T>& part, Layout layout) {
    const auto stored = names.find(name);
    if (stored == names.end()) return report.missing.push_back(name);
    used.insert(name);
    const Shape expected = file_shape(part.shape(), layout), found = file.shape(stored->second);
    if (!(expected == found)) return report.mismatched.push_back({name, expected, found});
    const Tensor<T> values =
        from_file_layout(file.tensor<T>(stored->second), part.shape(), layout).to(part.device());
    copies.push_back([values, target = part.detach()] {
      on(target.device(),
         [&](auto device) { kernels::copy(device, values.data(), target.data(), target.size()); });
    });
  });
  for (const auto& [name, stored] : names)
    if (!used.contains(name)) report.unexpected.push_back(stored);
  require<FileError>(report.complete() || !options.strict, printable(file.path()),
                     ": the weights do not fit the network: ", to_text(report));
  for (const auto& copy : copies) copy();
  return report;
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
