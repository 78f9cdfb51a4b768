// SPDX-License-Identifier: MIT
// What the losses share: how rows are put together, and class labels.
#pragma once
#include "gram/cpu/index.hpp"
#include "gram/cuda/index.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// What a loss divides its sum by. PyTorch's names: kl_div calls element_mean "mean" and batch_mean
/// "batchmean"; the "mean" of cross_entropy is batch_mean.
enum class Reduction {
  element_mean,  ///< the number of elements
  batch_mean,    ///< the extent of the first axis
  sum,           ///< one
};

namespace detail {

/// The factor of a reduction over a tensor that is not empty.
inline double reduction_scale(Reduction reduction, const Shape& shape) {
  if (reduction == Reduction::sum) return 1;
  return 1 / static_cast<double>(reduction == Reduction::batch_mean && shape.rank() > 0 ? shape[0]
                                                                                        : shape.size());
}

inline void require_logits(const char* name, const Shape& logits) {
  require(logits.rank() == 2 && logits.size() > 0, name, ": logits have shape ", logits,
          ", but must be (N, C) with at least one row and one class");
}

inline void require_labels(const char* name, const Tensor<std::int64_t>& labels, Index rows, Index classes) {
  require(labels.shape() == Shape{rows}, name, ": labels have shape ", labels.shape(), ", but there are ",
          rows, " rows");
  const Index row = on(labels.device(), [&](auto device) {
    return kernels::first_outside(device, labels.data(), rows, classes);
  });
  if (row >= 0)
    throw ArgumentError(text(name, ": the label of row ", row, " is ", labels.to(Device::cpu()).data()[row],
                             ", but the classes are 0 to ", classes - 1));
}

inline void require_smoothing(const char* name, double smoothing) {
  require<ArgumentError>(smoothing >= 0 && smoothing <= 1, name, ": smoothing is ", smoothing,
                         "; it must lie in [0, 1]");
}

}  // namespace detail

/// Targets (N, C) of labels (N): 1 - s + s / C in the column of the label, s / C elsewhere, s the smoothing
/// (arXiv:1512.00567). Throws ArgumentError for a label outside [0, C), naming its row.
template <Scalar T>
Tensor<T> smooth_one_hot(const Tensor<std::int64_t>& labels, Index classes, double smoothing = 0) {
  require<ArgumentError>(classes >= 1, "smooth_one_hot: ", classes, " classes; at least one is needed");
  detail::require_labels("smooth_one_hot", labels, labels.size(), classes);
  detail::require_smoothing("smooth_one_hot", smoothing);
  const double off = smoothing / static_cast<double>(classes);
  const Tensor<T> y({labels.size(), classes}, labels.device());
  on(labels.device(), [&](auto device) {
    kernels::one_hot(device, labels.data(), T(1 - smoothing + off), T(off), y.data(), labels.size(), classes);
  });
  return y;
}

}  // namespace gram
