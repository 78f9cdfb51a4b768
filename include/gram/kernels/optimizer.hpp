// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram {

/// d = g + weight_decay w; b = momentum b + share d (b = d at first); d = b, or d + momentum b with nesterov;
/// w -= lr d.
template <class A>
struct SgdStep {
  A lr, momentum, share, weight_decay;
  bool nesterov, first;
};

/// m = beta1 m + share1 g; v = beta2 v + share2 g^2; w = keep w - step m / (correction sqrt(v) + epsilon).
template <class A>
struct AdamWStep {
  A beta1, share1, beta2, share2, keep, step, correction, epsilon;
};

namespace kernels {

/// One parameter of n elements in a step of an optimiser. Step: SgdStep or AdamWStep of accum_t<T>.
template <class T, class Step>
struct OptimizerItem {
  T* parameter;
  accum_t<T>* values;  ///< the parameter itself, or the master copy of one of bf16
  const T* gradient;
  accum_t<T>* state[2];  ///< m and v of AdamW; b of SGD, or null, and null
  Index n;
  Step step;
  const Step* live;  ///< in a captured CUDA graph: device memory to read the step from instead
};

/// A gradient of n elements, to be scaled.
template <class T>
struct GradientSpan {
  T* data;
  Index n;
};

}  // namespace kernels
}  // namespace gram
