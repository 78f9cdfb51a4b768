// SPDX-License-Identifier: MIT
// Reference vectors made with the authors' code. They lie outside the repository: in the folder that the
// environment variable GRAM_SHARED names, or in ../shared beside the repository.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "gram/io/weights.hpp"
#include "gram/tensor/create.hpp"

#ifndef GRAM_SOURCE_DIR
#define GRAM_SOURCE_DIR "."
#endif

namespace gram::test {

inline std::filesystem::path shared_folder() {
  const char* const named = std::getenv("GRAM_SHARED");
  return named ? std::filesystem::path(named) : std::filesystem::path(GRAM_SOURCE_DIR) / ".." / "shared";
}

/// For tests that need a file or folder of ../shared: false, after one line that says so, when it is absent.
/// With GRAM_REQUIRE_SHARED in the environment that is a failure.
inline bool have_shared(const std::string& name) {
  if (std::filesystem::exists(shared_folder() / name)) return true;
  const bool required = std::getenv("GRAM_REQUIRE_SHARED") != nullptr;
  if (required)
    FAIL_CHECK("../shared/", name, " is absent, but GRAM_REQUIRE_SHARED is set");
  else
    MESSAGE("skipped: ../shared/", name, " is absent");
  return false;
}

/// One file of ../shared/golden:
///   const Golden g("ga_loss_bce");
///   if (!g.available()) return;
///   g.tensor<double>("in/logits0")
/// Values keep PyTorch's layout.
class Golden {
 public:
  explicit Golden(const std::string& name) {
    const std::string file = "golden/" + name + ".safetensors";
    if (have_shared(file)) file_ = SafeTensors::read((shared_folder() / file).string());
  }

  /// False, after a line that says so, when the file is absent.
  bool available() const { return file_.has_value(); }
  bool has(const std::string& name) const { return file_->contains(name); }
  Shape shape(const std::string& name) const { return file_->shape(name); }
  template <Element T>
  Tensor<T> tensor(const std::string& name) const {
    return file_->tensor<T>(name);
  }
  /// The names that begin with `prefix`, without it.
  std::vector<std::string> names(const std::string& prefix = "") const {
    std::vector<std::string> found;
    for (const std::string& name : file_->names())
      if (name.starts_with(prefix)) found.push_back(name.substr(prefix.size()));
    return found;
  }
  /// Sets the parameters and buffers of a model to the file's param/ and buffer/ values; all of them must
  /// fit.
  template <class Model>
  void load(Model& model) const {
    load_weights(model, *file_, {.rename = [](const std::string& name) -> std::string {
                   for (const std::string prefix : {"param/", "buffer/"})
                     if (name.starts_with(prefix)) return name.substr(prefix.size());
                   return "";
                 }});
  }

 private:
  std::optional<SafeTensors> file_;
};

/// (N, C, H, W) -> (N, H, W, C); also convolution weights (O, I, Kh, Kw) -> (O, Kh, Kw, I).
template <Element T>
Tensor<T> nchw_to_nhwc(const Tensor<T>& x) {
  return channels_last(x);
}
template <Element T>
Tensor<T> nhwc_to_nchw(const Tensor<T>& x) {
  return channels_first(x);
}
template <Element T>
Tensor<T> oihw_to_ohwi(const Tensor<T>& w) {
  return nchw_to_nhwc(w);
}
template <Element T>
Tensor<T> ohwi_to_oihw(const Tensor<T>& w) {
  return nhwc_to_nchw(w);
}

}  // namespace gram::test
