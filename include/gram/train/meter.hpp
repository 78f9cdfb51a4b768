// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <vector>

#include "gram/tensor/tensor.hpp"

namespace gram {

/// Means over what has been seen: loss, accuracy of the aggregated prediction (argmax of the sum of the
/// heads' logits) and of each head.
class Meter {
 public:
  /// Adds one batch: its mean loss, the logits (N, classes) of every head, and the labels (N).
  template <Scalar T>
  void add(double loss, const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
    require<ArgumentError>(!logits.empty(), "Meter::add: no logits");
    const Index n = labels.size(), classes = logits[0].dim(-1);
    for (const Tensor<T>& z : logits)
      require(z.shape() == Shape({n, classes}), "Meter::add: logits of shape ", z.shape(), " for ", n,
              " labels and ", classes, " classes");
    images_ += n;
    loss_ += loss * static_cast<double>(n);
    head_correct_.resize(logits.size());
    std::vector<double> sum(static_cast<std::size_t>(classes));
    for (Index i = 0; i < n; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      const std::int64_t label = labels.data()[i];
      for (std::size_t h = 0; h < logits.size(); ++h) {
        const T* row = logits[h].data() + i * classes;
        Index best = 0;
        for (Index c = 0; c < classes; ++c) {
          sum[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
          if (row[c] > row[best]) best = c;
        }
        head_correct_[h] += best == label;
      }
      correct_ += std::max_element(sum.begin(), sum.end()) - sum.begin() == label;
    }
  }

  Index images() const { return images_; }
  double loss() const { return mean(loss_); }
  double accuracy() const { return mean(static_cast<double>(correct_)); }
  std::vector<double> head_accuracy() const {
    std::vector<double> all;
    for (const Index correct : head_correct_) all.push_back(mean(static_cast<double>(correct)));
    return all;
  }

 private:
  double mean(double sum) const { return images_ ? sum / static_cast<double>(images_) : 0; }

  Index images_ = 0, correct_ = 0;
  double loss_ = 0;
  std::vector<Index> head_correct_;
};

}  // namespace gram
