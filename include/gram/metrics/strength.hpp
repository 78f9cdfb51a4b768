// SPDX-License-Identifier: MIT
// How good and how different the heads of a network are.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "gram/metrics/accuracy.hpp"

namespace gram {

/// Strength and correlation of an ensemble of heads (Breiman, "Random forests", 2001, section 2; Ryu et al.,
/// ICCV 2023, section 4.1). With hard votes, V(x, c) the share of heads that choose class c:
///     margin = V(x, y) - max_{c != y} V(x, c),      strength = mean margin,
///     raw margin of head i = [it chooses y] - [it chooses jhat],  jhat the strongest wrong class (the lowest
///     on a tie), correlation = mean over pairs of heads of the Pearson correlation of their raw margins,
///     bound = correlation (1 - strength^2) / strength^2, an upper bound of the generalisation error.
struct HeadStatistics {
  double strength = 0;
  double correlation = 0;  ///< NaN when no pair of heads has a correlation
  double bound = 0;
  Tensor<double> margins;  ///< (N)
  Tensor<double> pearson;  ///< (heads, heads); NaN where a head's raw margin does not vary
};

/// These numbers for the logits (N, classes) of every head and labels (N). Throws ArgumentError without heads
/// or samples.
template <Scalar T>
HeadStatistics head_statistics(const std::vector<Tensor<T>>& logits, const Tensor<std::int64_t>& labels) {
  require<ArgumentError>(!logits.empty() && labels.size() > 0, "head_statistics: ", logits.size(),
                         " heads and ", labels.size(), " samples; at least one of each is needed");
  const Index K = static_cast<Index>(logits.size()), N = labels.size(), classes = logits[0].dim(-1);
  for (const Tensor<T>& head : logits) {
    detail::check_labels("head_statistics", head, labels);
    require(head.dim(1) == classes, "head_statistics: heads of ", classes, " and ", head.dim(1), " classes");
  }

  HeadStatistics result{.margins = Tensor<double>({N}), .pearson = zeros<double>({K, K})};
  Tensor<double> raw({K, N});
  std::vector<Index> votes(static_cast<std::size_t>(classes)), choice(logits.size());
  for (Index n = 0; n < N; ++n) {
    std::fill(votes.begin(), votes.end(), 0);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const T* row = logits[i].data() + n * classes;
      choice[i] = std::max_element(row, row + classes) - row;
      ++votes[static_cast<std::size_t>(choice[i])];
    }
    const Index y = labels.data()[n];
    Index wrong = -1;
    for (Index c = 0; c < classes; ++c)
      if (c != y &&
          (wrong < 0 || votes[static_cast<std::size_t>(c)] > votes[static_cast<std::size_t>(wrong)]))
        wrong = c;
    const Index against = wrong < 0 ? 0 : votes[static_cast<std::size_t>(wrong)];
    result.margins.data()[n] =
        static_cast<double>(votes[static_cast<std::size_t>(y)] - against) / static_cast<double>(K);
    result.strength += result.margins.data()[n] / static_cast<double>(N);
    for (Index i = 0; i < K; ++i) {
      const Index chosen = choice[static_cast<std::size_t>(i)];
      raw.at({i, n}) = static_cast<double>(chosen == y) - static_cast<double>(chosen == wrong);
    }
  }

  std::vector<double> mean(logits.size()), deviation(logits.size());
  const auto centred = [&](Index i, Index n) {
    return raw.data()[i * N + n] - mean[static_cast<std::size_t>(i)];
  };
  for (Index i = 0; i < K; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (Index n = 0; n < N; ++n) mean[at] += raw.data()[i * N + n] / static_cast<double>(N);
    for (Index n = 0; n < N; ++n) deviation[at] += centred(i, n) * centred(i, n);
    deviation[at] = std::sqrt(deviation[at]);
  }
  Index pairs = 0;
  for (Index i = 0; i < K; ++i)
    for (Index j = 0; j < K; ++j) {
      double product = 0;
      for (Index n = 0; n < N; ++n) product += centred(i, n) * centred(j, n);
      const double both = deviation[static_cast<std::size_t>(i)] * deviation[static_cast<std::size_t>(j)];
      const double r = both > 0 ? product / both : std::numeric_limits<double>::quiet_NaN();
      result.pearson.at({i, j}) = r;
      if (i < j && both > 0) result.correlation += r, ++pairs;
    }
  result.correlation =
      pairs ? result.correlation / static_cast<double>(pairs) : std::numeric_limits<double>::quiet_NaN();
  const double s2 = result.strength * result.strength;
  result.bound = result.correlation * (1 - s2) / s2;
  return result;
}

}  // namespace gram
