// SPDX-License-Identifier: MIT
#pragma once

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

}  // namespace gram
