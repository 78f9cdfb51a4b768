// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::kernels {

/// A norm behind a product with W (out, in), and what is known of the product: in training the mean m (in) of
/// its operand and V = W S (out, in) with the operand's covariance S. The names are those of
/// ops/folded_pointwise_norm.hpp. gamma and beta are the norm's weight and bias; null: 1 and 0.
template <class A>
struct FoldNormArguments {
  Index out, in;
  const A *weight, *gamma, *beta;
  double epsilon;
  const A *x_mean, *spread;  ///< m and V; null where statistics that run are used
};

/// The product's statistics, each (out): written in training, otherwise mean and variance are read.
template <class A>
struct FoldNormStatistics {
  A *mean, *variance;
  A *rstd, *scale;  ///< r = 1 / sqrt(variance + epsilon) and s = gamma r
};

/// What the gradient reads beside these, and what it writes. P (out, in) = G^T x, sums (out) = those of G
/// over its `rows` rows.
template <class T>
struct FoldNormGradients {
  using A = accum_t<T>;
  Index rows;
  const A *products, *sums;
  GradientSink<T> dweight;  ///< (out, in)
  GradientSink<A> dgamma;   ///< (out)
  A* pull;  ///< (out, in): d W with d = -s r dg / rows, so that M = W^T pull; null: not wanted
  A* push;  ///< (out): e = -d mean - s sums / rows, so that u = e W
};

}  // namespace gram::kernels
