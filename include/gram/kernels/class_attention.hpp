// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/kernels/layout.hpp"

namespace gram::kernels {

struct ClassAttentionShape {
  Index images, tokens, channels, width, heads, classifiers;  // N, L, C, E, attention heads, M
  double epsilon;

  constexpr Index head_width() const { return width / heads; }
  constexpr Index rows() const { return classifiers * heads; }
  /// Scores lie this far apart: L tokens, the class token, zeros.
  constexpr Index ld() const { return round_up(tokens + 1, 16); }
  double scale() const { return 1 / std::sqrt(static_cast<double>(head_width())); }
};

/// Parameters of one classifier's attention; q, k, v weights (E, C), proj (C, E). Biases may be null.
template <class T>
struct ClassAttentionPointers {
  const accum_t<T>*norm_weight, *norm_bias;  // g, b (C)
  const T *q_weight, *q_bias, *k_weight, *v_weight, *v_bias, *proj_weight, *proj_bias;
};

/// The same for gradients. Memory may be shared: sinks are written in this order, those of all classifiers up
/// to v_bias first.
template <class T>
struct ClassAttentionSinks {
  GradientSink<T> proj_weight, proj_bias, v_weight, v_bias;
  GradientSink<T> k_weight, k_bias, q_weight, q_bias;
  GradientSink<accum_t<T>> norm_weight, norm_bias;
  GradientSink<T> query;
};

/// Parts of the block that the forward pass keeps for the backward pass.
struct ClassAttentionKept {
  Index hat_x;  // (N, L, C)
  Index hat_c;  // (M, N, C)
  Index q, o;   // (M, N, E)
  Index t, z;   // (N, M heads, C)
  Index a;      // (N, M heads, ld)
  Index size;

  constexpr explicit ClassAttentionKept(const ClassAttentionShape& s) {
    Layout at;
    hat_x = at.take(s.images * s.tokens * s.channels);
    hat_c = at.take(s.classifiers * s.images * s.channels);
    q = at.take(s.classifiers * s.width * s.images), o = at.take(s.classifiers * s.width * s.images);
    t = at.take(s.images * s.rows() * s.channels), z = at.take(s.images * s.rows() * s.channels);
    a = at.take(s.images * s.rows() * s.ld());
    size = at.size;
  }
};

/// And what it keeps in accum_t<T>: statistics of tokens and class tokens.
struct ClassAttentionStatistics {
  Index mean_x, rstd_x;  // (N, L); CPUs keep no means
  Index rstd_c;          // (M, N)
  Index size;

  constexpr explicit ClassAttentionStatistics(const ClassAttentionShape& s) {
    Layout at;
    mean_x = at.take(s.images * s.tokens), rstd_x = at.take(s.images * s.tokens);
    rstd_c = at.take(s.classifiers * s.images);
    size = at.size;
  }
};

}  // namespace gram::kernels
