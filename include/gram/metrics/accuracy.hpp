// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <vector>

#include "gram/tensor/create.hpp"

namespace gram {
namespace detail {

template <Scalar T>
void check_labels(const char* name, const Tensor<T>& logits, const Tensor<std::int64_t>& labels) {
  require(logits.rank() == 2 && logits.dim(1) > 0, name, ": logits have shape ", logits.shape(),
          "; (N, classes) is expected");
  require(labels.shape() == Shape{logits.dim(0)}, name, ": labels have shape ", labels.shape(),
          ", but logits ", logits.shape(), "; one label for each row is needed");
  for (const std::int64_t label : labels.span())
    require<ArgumentError>(label >= 0 && label < logits.dim(1), name, ": label ", label, " lies outside [0, ",
                           logits.dim(1), ")");
}

}  // namespace detail

/// The prediction of a network with several heads: the sum of their logits (N, classes), in float (double for
/// double). Its argmax is that of the mean.
template <Scalar T>
Tensor<accum_t<T>> aggregate(const std::vector<Tensor<T>>& logits) {
  require<ArgumentError>(!logits.empty(), "aggregate: no heads");
  Tensor<accum_t<T>> sum = converted<accum_t<T>>(logits[0]);
  for (std::size_t i = 1; i < logits.size(); ++i) {
    require(logits[i].shape() == sum.shape(), "aggregate: head ", i, " has logits of shape ",
            logits[i].shape(), ", head 0 of shape ", sum.shape());
    for (Index k = 0; k < sum.size(); ++k) sum.data()[k] += static_cast<accum_t<T>>(logits[i].data()[k]);
  }
  return sum;
}

/// How many rows of logits (N, classes) have their label among the k largest entries. Among equal entries the
/// lower class comes first; a row whose label has no number (NaN) is wrong.
template <Scalar T>
Index count_correct(const Tensor<T>& logits, const Tensor<std::int64_t>& labels, Index k = 1) {
  detail::check_labels("count_correct", logits, labels);
  require<ArgumentError>(k >= 1, "count_correct: k is ", k, "; it must be positive");
  const Index classes = logits.dim(1);
  Index correct = 0;
  for (Index i = 0; i < labels.size(); ++i) {
    const T* row = logits.data() + i * classes;
    const std::int64_t label = labels.data()[i];
    Index before = 0;
    for (Index c = 0; c < classes; ++c) before += row[c] > row[label] || (row[c] == row[label] && c < label);
    correct += before < k && row[label] == row[label];
  }
  return correct;
}

/// Accuracy over the batches of a data set: of the aggregated prediction and of every head.
class Accuracy {
 public:
  explicit Accuracy(Index largest_k = 5) : k_(largest_k) {}

  /// Counts a batch: logits of every head, all (N, classes), and labels (N).
  template <Scalar T>
  void add(const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
    const auto sum = aggregate(logits);
    const Index first = count_correct(sum, labels);
    heads_.resize((std::max)(heads_.size(), logits.size()));
    for (std::size_t i = 0; i < logits.size(); ++i) heads_[i] += count_correct(logits[i], labels);
    first_ += first;
    among_ += count_correct(sum, labels, k_);
    samples_ += labels.size();
  }

  Index samples() const { return samples_; }
  std::size_t heads() const { return heads_.size(); }
  /// Share of samples, in [0, 1], whose label has the largest logit; 0 without samples.
  double top1() const { return share(first_); }
  /// Share of samples whose label is among the k largest logits.
  double topk() const { return share(among_); }
  /// Share of samples that head i alone gets right.
  double head(std::size_t i) const { return share(heads_.at(i)); }

 private:
  double share(Index count) const {
    return samples_ ? static_cast<double>(count) / static_cast<double>(samples_) : 0;
  }

  Index k_, samples_ = 0, first_ = 0, among_ = 0;
  std::vector<Index> heads_;
};

}  // namespace gram
