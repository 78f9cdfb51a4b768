// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/module.hpp"

namespace gram {

/// Puts a model back into the mode it was found in, also when an exception ends what was done meanwhile: each
/// layer trains or evaluates as before, and weights that fuse_for_inference() had fused are fused again (what
/// it keeps is made anew by the next call). The model must outlive it, in its place and with the same layers.
///   const KeptMode kept(model);
///   eval(model);
class KeptMode {
 public:
  template <class Model>
  explicit KeptMode(Model& model) : parts_(parts_of(model)) {
    for_each_flag([&](bool& flag) { flags_.push_back(flag); });
  }
  ~KeptMode() {
    std::size_t next = 0;
    for_each_flag([&](bool& flag) { flag = flags_[next++]; });
    detail::forget_prepared_listed(parts_);
  }
  KeptMode(const KeptMode&) = delete;
  KeptMode& operator=(const KeptMode&) = delete;

 private:
  template <class F>
  void for_each_flag(F&& f) {
    detail::for_each_listed(parts_, [&]<class Part>(const std::string&, Part& part) {
      if constexpr (std::is_same_v<Part, Mode>) f(part.training);
      if constexpr (detail::is_parameter<Part>) f(part.fused);
    });
  }

  std::vector<NamedPart> parts_;
  std::vector<bool> flags_;
};

}  // namespace gram
