// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/dropout.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/attention.hpp"

namespace gram {

/// Multi-head self-attention, proj(softmax(q k^T / sqrt(d)) v) with q, k, v = qkv(x) (arXiv:1706.03762). x
/// (N, L, C), d = C / heads; the rows of qkv are all of q, then k, then v. Names are timm's. Throws
/// ArgumentError when heads does not divide C.
template <Scalar T>
struct MultiHeadAttention {
  struct Options {
    Index channels = 0, heads = 1;
    bool qkv_bias = true;
    double drop = 0;  ///< dropout behind the projection
    Init init = Init::pytorch;
  };

  MultiHeadAttention(const Options& o, Rng& rng)
      : qkv({.in = o.channels, .out = 3 * o.channels, .bias = o.qkv_bias, .init = o.init}, rng),
        proj({.in = o.channels, .out = o.channels, .init = o.init}, rng),
        drop(o.drop, rng),
        heads(o.heads) {
    require<ArgumentError>(o.heads > 0 && o.channels % o.heads == 0, "MultiHeadAttention: ", o.heads,
                           " heads; they must divide ", o.channels, " channels");
  }

  /// layer(x) [+ residual], the sum made where the projection is unless values are dropped; residual (N, L,
  /// C) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) {
    if (!drop.active()) return proj(attend(x), residual);
    const Tensor<T> y = drop(proj(attend(x)));
    return residual.defined() ? add(residual, y) : y;
  }
  void visit(auto&& parts) { parts("qkv", qkv), parts("proj", proj), parts("proj_drop", drop); }

  Linear<T> qkv, proj;
  Dropout<T> drop;
  Index heads;

 private:
  /// softmax(q k^T / sqrt(d)) v
  Tensor<T> attend(const Tensor<T>& x) const {
    const Tensor<T> packed = qkv(x);
    const Tensor<T> mixed =
        located(qkv.weight, [&] { return attention(packed, AttentionOptions{.heads = heads}); });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(qkv.weight.name)),
                .kind = "attention",
                .output = mixed.shape(),
                .matmuls = 2 * mixed.size() * x.dim(1)});
    return mixed;
  }
};

}  // namespace gram
