// SPDX-License-Identifier: MIT
// Pairs of images in one place: mixup (Zhang et al., arXiv:1710.09412) and CutMix (Yun et al.,
// arXiv:1905.04899). Image n of a batch of N is paired with image N - 1 - n.
#pragma once
#include "gram/cpu/augment.hpp"
#include "gram/cuda/augment.hpp"
#include "gram/loss/labels.hpp"
#include "gram/loss/token_mixing.hpp"

namespace gram {

/// How a batch is mixed: every image keeps `share` of itself. With a box, the other image is seen inside of
/// it; without one, both are added up.
struct BatchMix {
  double share = 1;
  TokenBox box = {};
};

struct BatchMixOptions {
  double mixup = 0;        ///< a <= 8: shares are drawn from Beta(a, a); 0: no mixup
  bool cutmix = false;     ///< with boxes of uniformly distributed area; see draw_token_box()
  double cut_share = 0.5;  ///< how many batches are cut when both are possible
};

/// A sample of Beta(a, a), by Joehnk's method (1964). It takes (2a over a) tries on average, so that a must
/// be small; networks are trained with 0.1 to 1. Throws ArgumentError unless 0 < a <= 8.
inline double draw_beta(double a, Rng& rng) {
  require<ArgumentError>(a > 0 && a <= 8, "draw_beta: a is ", a, "; it must lie in (0, 8]");
  for (;;) {
    const double x = std::pow(rng.uniform(), 1 / a), y = std::pow(rng.uniform(), 1 / a);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

/// Draws how to mix a batch of images of a size. Throws ArgumentError for options out of range.
inline BatchMix draw_batch_mix(const BatchMixOptions& options, Pair size, Rng& rng) {
  require<ArgumentError>(
      options.mixup >= 0 && options.mixup <= 8 && options.cut_share >= 0 && options.cut_share <= 1,
      "draw_batch_mix: mixup is ", options.mixup, " and cut_share ", options.cut_share,
      "; the first must lie in [0, 8], the second in [0, 1]");
  const bool both = options.cutmix && options.mixup > 0;
  if (both ? rng.uniform() < options.cut_share : options.cutmix) {
    const TokenBox box = draw_token_box(size, rng);
    return {1 - static_cast<double>(box.area()) / static_cast<double>(size.h * size.w), box};
  }
  if (options.mixup > 0) return {draw_beta(options.mixup, rng), {}};
  return {};
}

/// The targets of a mixed batch, (N, classes): share t_n + (1 - share) t_{N - 1 - n}, where t are those of
/// smooth_one_hot(). labels (N) on any device. Throws ArgumentError for a label outside [0, classes) on the
/// CPU; elsewhere such a label is that of no class.
template <Scalar T>
Tensor<T> mixed_targets(const Tensor<std::int64_t>& labels, Index classes, const BatchMix& mix,
                        double smoothing = 0) {
  require<ArgumentError>(classes >= 1, "mixed_targets: ", classes, " classes; at least one is needed");
  require(labels.rank() == 1, "mixed_targets: labels have shape ", labels.shape(), "; (N) is needed");
  if (labels.device() == Device::cpu())
    detail::require_labels("mixed_targets", labels, labels.size(), classes);
  detail::require_smoothing("mixed_targets", smoothing);
  const double off = smoothing / static_cast<double>(classes);
  Tensor<T> y({labels.size(), classes}, labels.device());
  on(labels.device(), [&](auto device) {
    kernels::mix_labels(device, labels.data(), labels.size(), classes, 1 - smoothing + off, off, mix.share,
                        y.data());
  });
  return y;
}

}  // namespace gram
