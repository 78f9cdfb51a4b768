// SPDX-License-Identifier: MIT
// What the classifier heads that end with class attention share: the attention of all of them by one
// operation.
#pragma once
#include "gram/nn/class_attention.hpp"
#include "gram/ops/class_attention.hpp"
#include "gram/tensor/views.hpp"

namespace gram {
namespace detail {

template <Scalar T>
ClassAttentionWeights<T> fused_weights(const ClassAttentionBlock<T>& block) {
  const ClassAttention<T>& a = block.attn;
  return {.norm_weight = block.norm1.weight,
          .norm_bias = block.norm1.bias,
          .q_weight = a.q.weight,
          .q_bias = a.q.bias,
          .k_weight = a.k.weight,
          .k_bias = a.k.bias,
          .v_weight = a.v.weight,
          .v_bias = a.v.bias,
          .proj_weight = a.proj.weight,
          .proj_bias = a.proj.bias};
}

/// Writes what the textbook form of a block's attention would do for N images of L tokens into the open log,
/// if any, and beside it what the re-associated form does: its `heads` queries stay in token space, so each
/// costs C for a token.
template <Scalar T>
void log_fused(const ClassAttentionBlock<T>& block, Index N, Index L) {
  CallLog* log = CallLog::open();
  if (!log) return;
  const ClassAttention<T>& a = block.attn;
  const Index E = a.q.weight.dim(0), C = a.q.weight.dim(1);
  const auto project = [&](const Linear<T>& layer, Index tokens, Index executed_tokens) {
    log->add({.path = layer_path(layer.weight.name),
              .kind = "Linear",
              .output = {N, tokens, layer.weight.dim(0)},
              .parameters = layer.weight.size() + layer.bias.size(),
              .products = N * tokens * E * C,
              .executed = N * executed_tokens * E * C});
  };
  block.norm1.log({N, 1 + L, C});
  project(a.q, 1, 1), project(a.k, 1 + L, 1), project(a.v, 1 + L, 1);
  log->add({.path = layer_path(layer_path(a.q.weight.name)),
            .kind = "attention",
            .output = {N, 1, E},
            .matmuls = 2 * N * (1 + L) * E,
            .executed = 2 * N * (1 + L) * a.heads * C});
  project(a.proj, 1, 1);
}

/// logits = fc(block(query, tokens)) of each head; attended (heads, N, C) holds the results of the attention.
template <Scalar T, class Head>
Tensor<T> finish_head(const Head& head, const Tensor<T>& query, const Tensor<T>& attended, Index row) {
  return head.fc(head.ga.after_attention(query, reshape(rows(attended, row, row + 1), query.shape())));
}

template <Scalar T>
ClassAttentionOptions fused_options(const ClassAttentionBlock<T>& block) {
  return {.heads = block.attn.heads, .epsilon = block.norm1.epsilon};
}

}  // namespace detail

/// Logits of heads that all read the map x (N, H, W, C), each with its class token queries[i] (N, C). A head
/// has members `ga`, a ClassAttentionBlock, and `fc`, a Linear.
template <Scalar T, class Head>
std::vector<Tensor<T>> classify_together(const LayerList<Head>& heads, const Tensor<T>& x,
                                         const std::vector<Tensor<T>>& queries) {
  const Tensor<T> tokens = reshape(x, {x.dim(0), -1, x.dim(-1)});
  std::vector<ClassAttentionWeights<T>> weights;
  for (const Head& head : heads) weights.push_back(detail::fused_weights(head.ga));
  const Tensor<T> attended = located(heads[0].ga.attn.q.weight, [&] {
    return class_attention(tokens, queries, weights, detail::fused_options(heads[0].ga));
  });
  std::vector<Tensor<T>> logits;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    detail::log_fused(heads[i].ga, tokens.dim(0), tokens.dim(1));
    logits.push_back(detail::finish_head(heads[i], queries[i], attended, static_cast<Index>(i)));
  }
  return logits;
}

/// Logits of heads that read maps of their own, maps[i] (N, H, W, C).
template <Scalar T, class Head>
std::vector<Tensor<T>> classify_each(const LayerList<Head>& heads, const std::vector<Tensor<T>>& maps,
                                     const std::vector<Tensor<T>>& queries) {
  require<ArgumentError>(maps.size() == heads.size(), "classifier heads: ", maps.size(), " maps for ",
                         heads.size(), " heads");
  std::vector<Tensor<T>> logits;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const Tensor<T> tokens = reshape(maps[i], {maps[i].dim(0), -1, maps[i].dim(-1)});
    const Tensor<T> attended = located(heads[i].ga.attn.q.weight, [&] {
      return class_attention<T>(tokens, {queries[i]}, {detail::fused_weights(heads[i].ga)},
                                detail::fused_options(heads[i].ga));
    });
    detail::log_fused(heads[i].ga, tokens.dim(0), tokens.dim(1));
    logits.push_back(detail::finish_head(heads[i], queries[i], attended, 0));
  }
  return logits;
}

}  // namespace gram
