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
  explicit KeptMode(Model& model) {
    detail::for_each_listed(parts_of(model), [&]<class Part>(const std::string&, Part& part) {
      if constexpr (std::is_same_v<Part, Mode>) keep(part.training);
      if constexpr (detail::is_parameter<Part>) keep(part.fused), prepared_.push_back(&part.prepared);
    });
  }
  ~KeptMode() {
    for (const Flag& flag : flags_) *flag.place = flag.value;
    for (std::shared_ptr<Prepared>* prepared : prepared_) prepared->reset();
  }
  KeptMode(const KeptMode&) = delete;
  KeptMode& operator=(const KeptMode&) = delete;

 private:
  struct Flag {
    bool* place;
    bool value;
  };
  void keep(bool& flag) { flags_.push_back({&flag, flag}); }

  std::vector<Flag> flags_;
  std::vector<std::shared_ptr<Prepared>*> prepared_;
};

}  // namespace gram
