// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/parameter.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/dropout.hpp"

namespace gram {
namespace detail {

inline double checked_rate(const char* layer, double rate) {
  require<ArgumentError>(rate >= 0 && rate < 1, layer, ": rate is ", rate, "; it must lie in [0, 1)");
  return rate;
}

}  // namespace detail

/// In training, sets each element to zero with probability `rate` and divides the others by 1 - rate; in
/// evaluation the identity (Srivastava et al., JMLR 2014). Draws from a random source of its own, split off
/// `rng`.
template <Scalar T>
struct Dropout {
  Dropout(double drop_rate, Rng& source)
      : rate(detail::checked_rate("Dropout", drop_rate)), rng(source.split()) {}

  Tensor<T> operator()(const Tensor<T>& x) { return active() ? dropout(x, rate, rng) : x; }
  /// Whether calls change anything.
  bool active() const { return mode.training && rate > 0; }
  void visit(auto&& parts) { parts("rng", rng), parts("mode", mode); }

  double rate;
  Rng rng;
  Mode mode;
};

/// In training, sets whole samples of a residual branch to zero with probability `rate` and divides the
/// others by 1 - rate (stochastic depth, arXiv:1603.09382); in evaluation the identity.
template <Scalar T>
struct DropPath {
  DropPath(double drop_rate, Rng& source)
      : rate(detail::checked_rate("DropPath", drop_rate)), rng(source.split()) {}

  Tensor<T> operator()(const Tensor<T>& x) { return active() ? drop_path(x, rate, rng) : x; }
  /// x + drop_path(layer(h)). Where nothing is dropped, layer(h, x) makes the sum itself.
  template <class Layer>
  Tensor<T> join(const Tensor<T>& x, Layer& layer, const Tensor<T>& h) {
    return active() ? add(x, (*this)(layer(h))) : layer(h, x);
  }
  /// Whether calls change anything.
  bool active() const { return mode.training && rate > 0; }
  void visit(auto&& parts) { parts("rng", rng), parts("mode", mode); }

  double rate;
  Rng rng;
  Mode mode;
};

}  // namespace gram
