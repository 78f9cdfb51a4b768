// SPDX-License-Identifier: MIT
// Checkpoints as authors publish them: weights inside the dictionary of a training run, names of wrappers and
// of other code, classifiers of other data sets, position embeddings of other image sizes.
// scripts/convert_checkpoint.py makes safetensors files of them; names of nested dictionaries are joined by
// dots.
#pragma once
#include <array>
#include <charconv>

#include "gram/io/weights.hpp"

namespace gram {

struct CheckpointOptions {
  /// Throw unless names and shapes agree after all rules below. Otherwise load what fits.
  bool strict = true;
  /// The moving average of the weights where the file has one. Either kind is taken where it is the only one.
  bool ema = false;
  /// Leave a linear classifier (fc, head, aux_head, classifier) as it is when the file's is for another
  /// number of classes.
  bool drop_classifier = false;
  /// Take the first heads of a file that has more of them than the network.
  bool first_heads = false;
  /// As in LoadOptions. rename sees names without container and prefixes, before the rules for heads.
  std::vector<std::string> strip = {"module.", "_orig_mod."};
  std::function<std::string(const std::string&)> rename = {};
  std::function<Tensor<float>(const std::string& name, const Tensor<float>& values, const Shape& expected)>
      resize = {};
};

/// How a checkpoint and a network differ, and what was made of it.
struct CheckpointReport : LoadReport {
  std::string container;  ///< what the names of the weights begin with in the file: "state_dict_ema."; or ""
  std::vector<Mismatch> dropped;           ///< classifiers of another number of classes
  std::vector<std::string> further_heads;  ///< left out, names of the file
};

namespace detail {

template <class Model>
std::set<std::string> weight_names(Model& model) {
  std::set<std::string> names;
  for_each_weight(model, [&](const std::string& name, auto&, Layout) { names.insert(name); });
  return names;
}

/// True when one of the sorted names begins with the prefix.
template <class Names>
bool any_begins_with(const Names& names, const std::string& prefix) {
  const auto first = std::lower_bound(names.begin(), names.end(), prefix);
  return first != names.end() && first->starts_with(prefix);
}

/// The dictionary, or dictionaries in one another, that holds the weights. A name that the network itself has
/// is none.
inline std::string find_container(const std::vector<std::string>& stored, const std::set<std::string>& known,
                                  bool ema) {
  const std::array<std::string, 2> averaged = {"state_dict_ema.", "model_ema."},
                                   plain = {"state_dict.", "model."};
  std::string container;
  for (bool found = true; found;) {
    found = false;
    for (const auto& kind : {ema ? averaged : plain, ema ? plain : averaged})
      for (const std::string& name : kind)
        if (!found && any_begins_with(stored, container + name) && !any_begins_with(known, name))
          container += name, found = true;
  }
  return container;
}

/// The name split at its first dot: "fc", "0.weight".
inline std::pair<std::string, std::string> first_part(const std::string& name) {
  const std::size_t dot = (std::min)(name.find('.'), name.size());
  return {name.substr(0, dot), name.substr((std::min)(dot + 1, name.size()))};
}

inline bool is_classifier(const std::string& part) {
  return part == "fc" || part == "head" || part == "aux_head" || part == "classifier";
}

/// What the heads of a file are called in a network. A rule changes only names that the network does not
/// have.
class HeadNames {
 public:
  explicit HeadNames(std::set<std::string> known) : known_(std::move(known)) {
    for (const std::string& name : known_) {
      const auto [part, rest] = first_part(name);
      if (is_classifier(part)) heads_ = (std::max)(heads_, number(rest) + 1);
    }
  }

  /// The name of the same part in the network, or the name itself. With `first`, head 0 may be the only one.
  std::string operator()(const std::string& name, bool first) const {
    const auto [part, rest] = first_part(name);
    if (known_.contains(name) || !is_classifier(part) || part == "aux_head") return name;
    for (const char* other : {"fc", "head", "classifier"}) {
      if (const std::string same = text(other, ".", rest); known_.contains(same)) return same;
      const std::string only = text(other, ".", first_part(rest).second);
      if (first && number(rest) == 0 && known_.contains(only)) return only;
    }
    return name;
  }
  /// True for a part of a head beyond those of the network: "ga.3.norm1.weight".
  bool beyond(const std::string& name) const {
    const auto [part, rest] = first_part(name);
    const bool of_a_head = is_classifier(part) || part == "gram_contraction" || part == "gram_layer" ||
                           part == "gram_embedding" || part == "ga" || part == "cls_token" ||
                           part == "aggregate";
    return of_a_head && !known_.contains(name) && number(rest) >= (std::max)(heads_, 1);
  }

 private:
  /// 12 for "12.weight", -1 when it does not begin with a number.
  static int number(const std::string& rest) {
    int value = -1;
    const char* const end = rest.data() + rest.size();
    const auto [stop, error] = std::from_chars(rest.data(), end, value);
    return error == std::errc() && (stop == end || *stop == '.') ? value : -1;
  }

  std::set<std::string> known_;
  int heads_ = 0;
};

/// True when the two are linear layers for different numbers of classes and otherwise alike.
inline bool other_classes(const LoadReport::Mismatch& m) {
  return is_classifier(first_part(m.name).first) && m.expected.rank() == m.found.rank() &&
         m.expected.rank() > 0 && m.expected == m.found.with(0, m.expected[0]);
}

}  // namespace detail

/// Loads the weights of a published checkpoint, by the rules that timm applies:
///  - of the dictionaries "state_dict" and "model" (with options.ema "state_dict_ema" and "model_ema" first)
///    one that is there is opened, also one inside another; what lies outside is not looked at;
///  - the prefixes of wrappers are taken away; num_batches_tracked is passed over;
///  - a classifier may be called fc, head or classifier;
///  - classifiers, further heads and position embeddings as the options say.
/// Throws FileError when file and network still differ and options.strict is set, or when values cannot be
/// read; then the model is as it was.
template <class Model>
CheckpointReport load_checkpoint(Model& model, const SafeTensors& file,
                                 const CheckpointOptions& options = {}) {
  const auto known = detail::weight_names(model);
  const detail::HeadNames heads(known);
  CheckpointReport report;
  report.container = detail::find_container(file.names(), known, options.ema);
  const auto rename = [&](const std::string& stored) -> std::string {
    if (!stored.starts_with(report.container)) return "";
    std::string name = detail::without_prefixes(stored.substr(report.container.size()), options.strip);
    if (options.rename) name = options.rename(name);
    if (options.first_heads && heads.beyond(name)) {
      report.further_heads.push_back(stored);
      return "";
    }
    return heads(name, options.first_heads);
  };
  const detail::PendingLoad load =
      detail::pending_load(model, file, {.strip = {}, .rename = rename, .resize = options.resize});
  static_cast<LoadReport&>(report) = load.report;
  bool classes_differ = false;
  std::erase_if(report.mismatched, [&](const LoadReport::Mismatch& mismatch) {
    if (!detail::other_classes(mismatch)) return false;
    classes_differ = true;
    if (options.drop_classifier) report.dropped.push_back(mismatch);
    return options.drop_classifier;
  });
  require<FileError>(
      report.complete() || !options.strict, printable(file.path()), ": the weights",
      report.container.empty() ? "" : " under " + printable(report.container),
      " do not fit the network: ", to_text(report),
      classes_differ && !options.drop_classifier ? "; drop_classifier leaves out one of other classes" : "");
  load.commit();
  return report;
}
template <class Model>
CheckpointReport load_checkpoint(Model& model, const std::string& path,
                                 const CheckpointOptions& options = {}) {
  return load_checkpoint(model, SafeTensors::read(path), options);
}

}  // namespace gram
