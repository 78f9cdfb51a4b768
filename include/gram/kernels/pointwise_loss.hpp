// SPDX-License-Identifier: MIT
#pragma once

namespace gram::kernels {

/// Losses that are a sum over elements.
enum class PointwiseLoss { binary_cross_entropy, kl_divergence };

}  // namespace gram::kernels
