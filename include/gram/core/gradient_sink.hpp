// SPDX-License-Identifier: MIT
#pragma once

namespace gram {

/// Where a backward step puts the gradient of one input. Null when the input needs none. If `add` is false
/// the memory is fresh and every element must be written; if true the values must be added.
template <class T>
struct GradientSink {
  T* data = nullptr;
  bool add = false;
  constexpr explicit operator bool() const { return data != nullptr; }
};

}  // namespace gram
