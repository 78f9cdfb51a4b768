// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>

#include "gram/nn/conv_position.hpp"
#include "gram/nn/group_aggregator.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/factorised_attention.hpp"

namespace gram {

/// Group-Mix attention (arXiv:2311.15157, section 3.2), x (N, H, W, C) -> (N, H, W, C): queries, keys and
/// values of 4 C / 5 channels, most of them made of neighbourhoods instead of single tokens by the
/// aggregator, attend in eight heads,
///     y = (C / 8)^-1/2 q (softmax over tokens(k)^T v) + q * conv(v),
/// and proj mixes y with the aggregator's local branch of the other C / 5 channels. The rows of qkv are all
/// of q, then k, then v. Names are those of the released code. Throws ArgumentError unless C is a multiple of
/// ten (five segments; eight heads over four of them).
template <Scalar T>
struct GroupMixAttention {
  static constexpr Index heads = 8;

  struct Options {
    Index channels = 0;
    bool qkv_bias = true;
  };

  GroupMixAttention(const Options& o, Rng& rng)
      : qkv({.in = checked(o.channels),
             .out = 3 * o.channels,
             .bias = o.qkv_bias,
             .init = Init::truncated_normal},
            rng),
        proj({.in = o.channels, .out = o.channels, .init = Init::truncated_normal}, rng),
        aggregator({.channels = o.channels}, rng),
        crpe({.channels = 4 * aggregator.width}, rng) {}

  /// layer(x) [+ residual], the sum made where the projection is; residual (N, H, W, C) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    located(qkv.weight, [&] {
      require(x.rank() == 4, "GroupMixAttention: input has shape ", x.shape(), "; (N, H, W, C) is needed");
    });
    const Index N = x.dim(0);
    const typename GroupAggregator<T>::Result groups = aggregator(qkv(x));
    const auto third = [&](Index i) { return rows(groups.qkv, i * N, (i + 1) * N); };
    const Tensor<T> q = third(0), k = third(1), v = third(2);
    return proj(concat<T>({add(attend(q, k, v), crpe(q, v)), groups.local}, 3), residual);
  }
  void visit(auto&& parts) {
    parts("qkv", qkv), parts("proj", proj), parts("aggregator", aggregator), parts("crpe", crpe);
  }

  Linear<T> qkv, proj;
  GroupAggregator<T> aggregator;
  ConvRelativePosition<T> crpe;

 private:
  static Index checked(Index channels) {
    require<ArgumentError>(channels > 0 && channels % 10 == 0, "GroupMixAttention: ", channels,
                           " channels; a positive multiple of ten is needed");
    return channels;
  }

  /// The factorised attention of maps (N, H, W, 4 C / 5). The published scale is that of a head of all C
  /// channels.
  Tensor<T> attend(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v) const {
    const auto tokens = [&](const Tensor<T>& map) {
      return reshape(map, {q.dim(0), q.dim(1) * q.dim(2), q.dim(3)});
    };
    const double scale = 1 / std::sqrt(static_cast<double>(proj.weight.dim(0)) / double(heads));
    const Tensor<T> y = located(qkv.weight, [&] {
      return factorised_attention(tokens(q), tokens(k), tokens(v),
                                  AttentionOptions{.heads = heads, .scale = scale});
    });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(qkv.weight.name)),
                .kind = "attention",
                .output = y.shape(),
                .matmuls = 2 * y.size() * y.dim(2) / heads});
    return reshape(y, q.shape());
  }
};

}  // namespace gram
