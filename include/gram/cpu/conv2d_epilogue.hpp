// SPDX-License-Identifier: MIT
#pragma once

namespace gram {

/// What becomes of a finished sum s of a convolution: y = [relu or GELU](s [+ bias] [+ residual]). bias has a
/// value for each output channel, residual is laid out as y. Either may be null.
template <class T>
struct Conv2dEpilogue {
  const T* bias = nullptr;
  const T* residual = nullptr;
  bool relu = false;
  bool gelu = false;  ///< of dense 1x1 convolutions only
};

}  // namespace gram
