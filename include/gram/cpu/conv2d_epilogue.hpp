// SPDX-License-Identifier: MIT
#pragma once

namespace gram {

/// What becomes of a finished sum s of a convolution: y = [relu](s [+ bias] [+ residual]). bias has a value
/// for each output channel, residual is laid out as y. Either may be null.
template <class T>
struct Conv2dEpilogue {
  const T* bias = nullptr;
  const T* residual = nullptr;
  bool relu = false;
};

}  // namespace gram
