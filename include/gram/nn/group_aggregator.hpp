// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/separable_conv2d.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// The branch of Group-Mix attention that does not attend: hardswish(norm(conv(x))), x (N, H, W, 3 s), the
/// last segments of queries, keys and values side by side, -> (N, H, W, s).
template <Scalar T>
struct LocalAggregator {
  LocalAggregator(Index width, Rng& rng)
      : conv({.in = 3 * width, .out = width}, rng), norm({.channels = width}) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return hardswish(norm(conv(x))); }
  void visit(auto&& parts) { parts("conv", conv), parts("norm", norm); }

  SeparableConv2d<T> conv;
  LayerNorm<T> norm;
};

/// Makes group proxies of tokens for Group-Mix attention (arXiv:2311.15157, section 3.2). The C channels of
/// each of queries, keys and values are cut into five segments of s = C / 5:
///     segment 0:  hardswish(norm0(x)), the tokens themselves
///     segment i:  hardswish(norm_i(agg_i(x))), i = 1, 2, 3, with kernels 3, 5, 7: groups of tokens
///     segment 4:  those of queries, keys and values together through agg0, a local branch.
/// The layers of segments 0 to 3 are the same for queries, keys and values; their batch statistics are over
/// all three. Names are those of the released code. Throws ArgumentError unless C is a multiple of five.
template <Scalar T>
struct GroupAggregator {
  struct Options {
    Index channels = 0;
  };
  struct Result {
    Tensor<T> qkv;    ///< (3 N, H, W, 4 s): queries of all images, then keys, then values
    Tensor<T> local;  ///< (N, H, W, s)
  };

  GroupAggregator(const Options& o, Rng& rng) : width(checked_width(o.channels)), agg0(width, rng) {
    for (const Index kernel : {3, 5, 7})
      agg.emplace_back(typename SeparableConv2d<T>::Options{.in = width, .out = width, .kernel = kernel},
                       rng);
    for (int i = 0; i < 4; ++i) norm.emplace_back(typename BatchNorm2d<T>::Options{.channels = width});
  }

  /// qkv (N, H, W, 3 C) = [q | k | v]
  Result operator()(const Tensor<T>& qkv) const {
    const Index N = qkv.dim(0), H = qkv.dim(1), W = qkv.dim(2);
    // The one copy: segments first, so that each is a range of rows.
    const Tensor<T> segments = permute(reshape(qkv, {N, H * W, 3, 5, width}), {3, 2, 0, 1, 4});
    const auto segment = [&](Index i) { return rows(segments, i, i + 1); };
    const auto map = [&](Index i) { return reshape(segment(i), {3 * N, H, W, width}); };

    std::vector<Tensor<T>> mixed{norm[0](map(0))};
    for (std::size_t i = 1; i < 4; ++i) mixed.push_back(norm[i](agg[i - 1](map(static_cast<Index>(i)))));
    const Tensor<T> side_by_side = transpose(reshape(segment(4), {3, N * H * W, width}), 0, 1);
    return {hardswish(concat(mixed, 3)), agg0(reshape(side_by_side, {N, H, W, 3 * width}))};
  }
  void visit(auto&& parts) {
    parts("norm0", norm[0]);
    parts("agg1", agg[0]), parts("norm1", norm[1]);
    parts("agg2", agg[1]), parts("norm2", norm[2]);
    parts("agg3", agg[2]), parts("norm3", norm[3]);
    parts("agg0", agg0);
  }

  Index width;  ///< s
  LayerList<SeparableConv2d<T>> agg;
  LayerList<BatchNorm2d<T>> norm;
  LocalAggregator<T> agg0;

 private:
  static Index checked_width(Index channels) {
    require<ArgumentError>(channels > 0 && channels % 5 == 0, "GroupAggregator: ", channels,
                           " channels; a positive multiple of five, the number of segments, is needed");
    return channels / 5;
  }
};

}  // namespace gram
