// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "gram/core/communicator.hpp"
#include "gram/cuda/meter.hpp"
#include "gram/tensor/tensor.hpp"

namespace gram {
namespace detail {

/// The place of the largest value, the first one of equals; what is no number (NaN) is passed over, and
/// `count` says that there is nothing else.
template <class V>
Index first_largest(const V* values, Index count) {
  using A = accum_t<V>;
  A largest = -std::numeric_limits<A>::infinity();
  Index place = count;
  for (Index i = 0; i < count; ++i) {
    const A value = values[i];
    if (value > largest || (value == largest && place == count)) largest = value, place = i;
  }
  return place;
}

}  // namespace detail

/// Means over what has been seen: loss, accuracy of the aggregated prediction (argmax of the sum of the
/// heads' logits) and of each head; a row without a number is wrong. What lies on a GPU is counted there;
/// reading a mean waits for it. Copies share those counts.
class Meter {
 public:
  /// Adds one batch: its mean loss, the logits (N, classes) of every head, and the labels (N).
  template <Scalar T>
  void add(const Tensor<T>& loss, const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
    if (labels.device().kind() == Device::Kind::cpu)
      return add(static_cast<double>(loss.item()), logits, labels);
    check(logits, labels);
    require<ArgumentError>(logits.size() <= Counts::most_heads, "Meter::add: ", logits.size(),
                           " heads, but at most ", Counts::most_heads, " are counted on a GPU");
    if (!on_device_.defined()) {
      on_device_ = Tensor<std::uint8_t>({sizeof(Counts)}, labels.device());
      on(labels.device(),
         [&](auto tag) { kernels::fill(tag, on_device_.data(), std::uint8_t{0}, on_device_.size()); });
    }
    head_correct_.resize(logits.size());
    cuda::MeterBatch<T> batch{.heads = static_cast<int>(logits.size()),
                              .rows = labels.size(),
                              .classes = logits[0].dim(-1),
                              .labels = labels.data(),
                              .loss = loss.data()};
    for (std::size_t h = 0; h < logits.size(); ++h) batch.logits[h] = logits[h].data();
    cuda::meter_table<T>.add(Cuda{labels.device().index()}, batch,
                             reinterpret_cast<Counts*>(on_device_.data()));
  }
  template <Scalar T>
  void add(double loss, const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
    check(logits, labels);
    const Index n = labels.size(), classes = logits[0].dim(-1);
    images_ += n;
    loss_ += loss * static_cast<double>(n);
    head_correct_.resize(logits.size());
    std::vector<double> sum(static_cast<std::size_t>(classes));
    for (Index i = 0; i < n; ++i) {
      std::fill(sum.begin(), sum.end(), 0.0);
      const std::int64_t label = labels.data()[i];
      for (std::size_t h = 0; h < logits.size(); ++h) {
        const T* row = logits[h].data() + i * classes;
        for (Index c = 0; c < classes; ++c) sum[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
        head_correct_[h] += detail::first_largest(row, classes) == label;
      }
      correct_ += detail::first_largest(sum.data(), classes) == label;
    }
  }

  /// Makes this what all processes have seen together; each must have seen as many heads.
  void all_reduce(Communicator& communicator) {
    const Counts counts = there();
    on_device_ = {};
    loss_ += counts.loss;
    images_ += static_cast<Index>(counts.images), correct_ += static_cast<Index>(counts.correct);
    for (std::size_t h = 0; h < head_correct_.size() && h < Counts::most_heads; ++h)
      head_correct_[h] += static_cast<Index>(counts.head_correct[h]);
    communicator.all_reduce(&images_, 1), communicator.all_reduce(&correct_, 1);
    communicator.all_reduce(&loss_, 1);
    communicator.all_reduce(head_correct_.data(), static_cast<Index>(head_correct_.size()));
  }

  Index images() const { return images_ + static_cast<Index>(there().images); }
  double loss() const { return mean(loss_ + there().loss); }
  double accuracy() const {
    return mean(static_cast<double>(correct_) + static_cast<double>(there().correct));
  }
  std::vector<double> head_accuracy() const {
    std::vector<double> all;
    const Counts counts = there();
    for (std::size_t h = 0; h < head_correct_.size(); ++h)
      all.push_back(
          mean(static_cast<double>(head_correct_[h]) + static_cast<double>(counts.head_correct[h])));
    return all;
  }

 private:
  using Counts = cuda::MeterCounts;

  template <Scalar T>
  static void check(const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
    require<ArgumentError>(!logits.empty(), "Meter::add: no logits");
    const Index n = labels.size(), classes = logits[0].dim(-1);
    for (const Tensor<T>& z : logits)
      require(z.shape() == Shape({n, classes}), "Meter::add: logits of shape ", z.shape(), " for ", n,
              " labels and ", classes, " classes");
  }
  Counts there() const {
    Counts counts{};
    if (on_device_.defined()) std::memcpy(&counts, on_device_.to(Device::cpu()).data(), sizeof counts);
    return counts;
  }
  double mean(double sum) const {
    const Index n = images();
    return n ? sum / static_cast<double>(n) : 0;
  }

  Index images_ = 0, correct_ = 0;
  double loss_ = 0;
  std::vector<Index> head_correct_;
  Tensor<std::uint8_t> on_device_;  // one Counts
};

}  // namespace gram
