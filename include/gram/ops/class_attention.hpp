// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/class_attention_grad.hpp"
#include "gram/cuda/class_attention.hpp"
#include "gram/ops/cast.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// Parameters of the class attention of one classifier head; C channels, E attention width. Biases may be
/// undefined.
template <Scalar T>
struct ClassAttentionWeights {
  Tensor<accum_t<T>> norm_weight, norm_bias;  ///< (C)
  Tensor<T> q_weight, q_bias;                 ///< (E, C), (E)
  Tensor<T> k_weight, k_bias;        ///< (E, C), (E); the softmax does not see k_bias, its gradient is zero
  Tensor<T> v_weight, v_bias;        ///< (E, C), (E)
  Tensor<T> proj_weight, proj_bias;  ///< (C, E), (C)
};

struct ClassAttentionOptions {
  Index heads;            ///< attention heads; divides E
  double epsilon = 1e-5;  ///< of the layer norm
};

namespace detail {

template <Scalar T>
kernels::ClassAttentionShape class_attention_shape(const char* name, const Tensor<T>& tokens,
                                                   const std::vector<Tensor<T>>& queries,
                                                   const std::vector<ClassAttentionWeights<T>>& weights,
                                                   ClassAttentionOptions options) {
  require(tokens.rank() == 3 && tokens.dim(2) >= 1, name, ": tokens has shape ", tokens.shape(),
          "; (N, L, C) is expected");
  require<ArgumentError>(!queries.empty() && queries.size() == weights.size(), name, ": ", queries.size(),
                         " queries and ", weights.size(),
                         " sets of weights; as many of both, at least one, are needed");
  const Index N = tokens.dim(0), C = tokens.dim(2);
  require(weights[0].q_weight.rank() == 2, name, ": q_weight has shape ", weights[0].q_weight.shape(),
          "; (E, C) is expected");
  const Index E = weights[0].q_weight.dim(0), heads = options.heads;
  require<ArgumentError>(heads >= 1 && E >= 1 && E % heads == 0, name, ": q_weight has ", E, " rows; heads ",
                         heads, " must divide them");
  const auto check = [&](const char* argument, const AnyTensor& x, const Shape& needed,
                         bool optional = false) {
    require((optional && !x.defined()) || x.shape() == needed, name, ": ", argument, " has shape ", x.shape(),
            ", but tokens have shape ", tokens.shape(), " and q_weight has ", E, " rows; ", needed,
            " is needed");
  };
  for (std::size_t m = 0; m < weights.size(); ++m) {
    const ClassAttentionWeights<T>& w = weights[m];
    check("query", queries[m], {N, C});
    check("norm_weight", w.norm_weight, {C}), check("norm_bias", w.norm_bias, {C});
    check("q_weight", w.q_weight, {E, C}), check("q_bias", w.q_bias, {E}, true);
    check("k_weight", w.k_weight, {E, C}), check("k_bias", w.k_bias, {E}, true);
    check("v_weight", w.v_weight, {E, C}), check("v_bias", w.v_bias, {E}, true);
    check("proj_weight", w.proj_weight, {C, E}), check("proj_bias", w.proj_bias, {C}, true);
  }
  return {.images = N,
          .tokens = tokens.dim(1),
          .channels = C,
          .width = E,
          .heads = heads,
          .classifiers = static_cast<Index>(weights.size()),
          .epsilon = options.epsilon};
}

template <Scalar T>
std::vector<kernels::ClassAttentionPointers<T>> class_attention_pointers(
    const std::vector<ClassAttentionWeights<T>>& weights) {
  std::vector<kernels::ClassAttentionPointers<T>> pointers;
  for (const ClassAttentionWeights<T>& w : weights) {
    pointers.push_back({w.norm_weight.data(), w.norm_bias.data(), w.q_weight.data(), w.q_bias.data(),
                        w.k_weight.data(), w.v_weight.data(), w.v_bias.data(), w.proj_weight.data(),
                        w.proj_bias.data()});
  }
  return pointers;
}

/// Memory for the gradients, asked for in the order in which the kernel writes it.
template <Scalar T>
std::vector<kernels::ClassAttentionSinks<T>> class_attention_sinks(
    const std::vector<Gradient<T>>& dqueries, const std::vector<ClassAttentionWeights<T>>& weights) {
  std::vector<kernels::ClassAttentionSinks<T>> sinks(weights.size());
  for (std::size_t m = 0; m < weights.size(); ++m) {
    const ClassAttentionWeights<T>& w = weights[m];
    sinks[m].proj_weight = w.proj_weight.gradient().sink();
    sinks[m].proj_bias = w.proj_bias.gradient().sink();
    sinks[m].v_weight = w.v_weight.gradient().sink();
    sinks[m].v_bias = w.v_bias.gradient().sink();
  }
  for (std::size_t m = 0; m < weights.size(); ++m) {
    const ClassAttentionWeights<T>& w = weights[m];
    sinks[m].k_weight = w.k_weight.gradient().sink();
    sinks[m].k_bias = w.k_bias.gradient().sink();
    sinks[m].q_weight = w.q_weight.gradient().sink();
    sinks[m].q_bias = w.q_bias.gradient().sink();
  }
  for (std::size_t m = 0; m < weights.size(); ++m) {
    sinks[m].norm_weight = weights[m].norm_weight.gradient().sink();
    sinks[m].norm_bias = weights[m].norm_bias.gradient().sink();
    sinks[m].query = dqueries[m].sink();
  }
  return sinks;
}

template <Scalar T>
ClassAttentionWeights<float> cast_weights(const ClassAttentionWeights<T>& w) {
  const auto to_float = [](const Tensor<T>& x) { return x.defined() ? cast<float>(x) : Tensor<float>{}; };
  return {w.norm_weight,           w.norm_bias,          to_float(w.q_weight), to_float(w.q_bias),
          to_float(w.k_weight),    to_float(w.k_bias),   to_float(w.v_weight), to_float(w.v_bias),
          to_float(w.proj_weight), to_float(w.proj_bias)};
}

/// class_attention() by the kernels of a device.
template <Scalar T, class DeviceTag>
Tensor<T> class_attention_on(DeviceTag device, const kernels::ClassAttentionShape& shape,
                             const Tensor<T>& tokens, const std::vector<Tensor<T>>& queries,
                             const std::vector<ClassAttentionWeights<T>>& weights) {
  Tensor<T> y({shape.classifiers, shape.images, shape.channels}, tokens.device());
  Tensor<T> kept(Shape{kernels::ClassAttentionKept(shape).size}, tokens.device());
  Tensor<accum_t<T>> statistics(Shape{kernels::ClassAttentionStatistics(shape).size}, tokens.device());
  std::vector<AnyTensor> inputs{tokens};
  std::vector<const T*> query_values;
  std::vector<Gradient<T>> dqueries;
  for (const auto& query : queries) {
    require_one_device("class_attention", {&tokens, &query});
    inputs.push_back(query);
    query_values.push_back(query.data());
    dqueries.push_back(query.gradient());
  }
  for (const auto& w : weights) {
    const std::initializer_list<const AnyTensor*> parameters{
        &w.norm_weight, &w.norm_bias, &w.q_weight, &w.q_bias,      &w.k_weight,
        &w.k_bias,      &w.v_weight,  &w.v_bias,   &w.proj_weight, &w.proj_bias};
    for (const AnyTensor* x : parameters) {
      require_one_device("class_attention", {&tokens, x});
      inputs.push_back(*x);
    }
  }
  const auto pointers = class_attention_pointers(weights);
  kernels::class_attention(device, shape, tokens.data(), query_values.data(), pointers.data(), kept.data(),
                           statistics.data(), y.data());
  const Tensor<T> read_again = std::same_as<DeviceTag, Cpu> ? Tensor<T>{} : tokens.detach();
  return record("class_attention", y, inputs,
                [device, shape, weights, kept, statistics, dqueries, x = read_again,
                 dx = tokens.gradient()](const Tensor<T>& dy) {
                  const GradientSink<T> to_tokens = dx.sink();
                  const auto sinks = class_attention_sinks(dqueries, weights);
                  const auto values = class_attention_pointers(weights);
                  kernels::class_attention_grad(device, shape, x.data(), values.data(), kept.data(),
                                                statistics.data(), dy.data(), to_tokens, sinks.data());
                });
}

}  // namespace detail

/// Class attention of M classifier heads over the same tokens (N, L, C), each with its class token,
/// queries[m] (N, C), and weights of its own: rows m of the result (M, N, C) are
///     W_proj Attention(W_q a_0, W_k a, W_v a) + b_proj,   a = layer_norm([queries[m]; tokens]),
/// multi-head softmax attention whose only query is the class token a_0; no residual, no layer scale. The
/// products are re-associated so that keys and values are never formed: the tokens are normalised once and
/// read by all heads together (see cpu/class_attention.hpp); class_attention_textbook() is the same function
/// step by step. Of bf16, CPUs compute in float, GPUs round what lies between two products. Throws ShapeError
/// when shapes do not fit, ArgumentError when heads does not divide E.
/// Source: Ryu et al., "Gramian attention heads are strong yet efficient vision learners", ICCV 2023; class
/// attention: arXiv:2103.17239.
template <Scalar T>
Tensor<T> class_attention(const Tensor<T>& tokens, const std::vector<Tensor<T>>& queries,
                          const std::vector<ClassAttentionWeights<T>>& weights,
                          ClassAttentionOptions options) {
  const auto shape = detail::class_attention_shape("class_attention", tokens, queries, weights, options);
  return on(tokens.device(), [&](auto device) {
    if constexpr (std::same_as<decltype(device), Cpu> && !std::same_as<T, accum_t<T>>) {
      std::vector<Tensor<float>> wide_queries;
      std::vector<ClassAttentionWeights<float>> wide_weights;
      for (const auto& query : queries) wide_queries.push_back(cast<float>(query));
      for (const auto& w : weights) wide_weights.push_back(detail::cast_weights(w));
      return cast<T>(class_attention(cast<float>(tokens), wide_queries, wide_weights, options));
    } else {
      return detail::class_attention_on(device, shape, tokens, queries, weights);
    }
  });
}

}  // namespace gram
