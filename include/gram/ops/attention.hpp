// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/attention.hpp"
#include "gram/cuda/attention.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct AttentionOptions {
  Index heads = 1;   ///< the channels are cut into this many attention heads, one after another
  double scale = 0;  ///< factor of the scores; 0 stands for d^-1/2, d the channels of a head
};

namespace detail {

/// Checks q (N, Lq, D), k (N, Lk, D), v (N, Lk, Dv) and the number of heads.
inline kernels::AttentionShape attention_shape(const char* name, const Shape& q, const Shape& k,
                                               const Shape& v, AttentionOptions options) {
  const Index heads = options.heads;
  require(q.rank() == 3, name, ": q has shape ", q, "; (N, L, D) is expected");
  require(k.rank() == 3 && k[0] == q[0] && k[2] == q[2], name, ": k has shape ", k, ", but q has shape ", q,
          "; images and channels must agree");
  require(v.rank() == 3 && v[0] == k[0] && v[1] == k[1], name, ": v has shape ", v, ", but k has shape ", k,
          "; images and tokens must agree");
  require(k[1] >= 1, name, ": k has shape ", k, "; at least one key is needed");
  require<ArgumentError>(heads >= 1, name, ": ", heads, " heads; at least one is needed");
  require(q[2] % heads == 0 && v[2] % heads == 0, name, ": ", q[2], " channels of q and ", v[2],
          " of v; both must be divisible by heads ", heads);
  const Index d = q[2] / heads;
  require(d >= 1, name, ": q has shape ", q, "; at least one channel is needed");
  return {.images = q[0],
          .heads = heads,
          .queries = q[1],
          .keys = k[1],
          .width = d,
          .value_width = v[2] / heads,
          .query_stride = q[2],
          .key_stride = k[2],
          .value_stride = v[2],
          .scale = options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(d))};
}

/// The result of attention as its backward pass keeps it: the CPU does without.
template <Scalar T>
Tensor<T> kept_result(const Tensor<T>& y) {
  return y.device().kind() == Device::Kind::cpu ? Tensor<T>{} : y;
}

}  // namespace detail

/// Multi-head softmax attention (arXiv:1706.03762, eq. 1), q (N, Lq, D), k (N, Lk, D), v (N, Lk, Dv) -> (N,
/// Lq, Dv): in each head, y = softmax(scale q k^T) v. Runs in tiles of queries and keeps the logarithm of
/// each row's sum of exponentials; the Lq x Lk map is never stored. Throws ShapeError when shapes disagree or
/// heads does not divide D and Dv.
template <Scalar T>
Tensor<T> attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                    AttentionOptions options = {}) {
  const auto shape = detail::attention_shape("attention", q.shape(), k.shape(), v.shape(), options);
  require_one_device("attention", {&q, &k, &v});
  Tensor<T> y({q.dim(0), q.dim(1), v.dim(2)}, q.device());
  Tensor<accum_t<T>> lse({shape.images, shape.heads, shape.queries}, q.device());
  on(q.device(), [&](auto device) {
    kernels::attention(device, shape, q.data(), k.data(), v.data(), y.data(), lse.data());
  });
  return record("attention", y, {q, k, v},
                [=, kept = detail::kept_result(y), dq = q.gradient(), dk = k.gradient(),
                 dv = v.gradient()](const Tensor<T>& dy) {
                  const GradientSink<T> to_q = dq.sink(), to_k = dk.sink(), to_v = dv.sink();
                  on(dy.device(), [&](auto device) {
                    kernels::attention_grad(device, shape, q.data(), k.data(), v.data(), kept.data(),
                                            lse.data(), dy.data(), to_q, to_k, to_v);
                  });
                });
}

/// The same with queries, keys and values of one width side by side: qkv (N, L, 3 D) = [q | k | v] -> (N, L,
/// D).
template <Scalar T>
Tensor<T> attention(const Tensor<T>& qkv, AttentionOptions options = {}) {
  require(qkv.rank() == 3 && qkv.dim(2) % 3 == 0, "attention: qkv has shape ", qkv.shape(),
          "; (N, L, 3 D), queries, keys and values side by side, is expected");
  const Index D = qkv.dim(2) / 3;
  const Shape part{qkv.dim(0), qkv.dim(1), D};
  auto shape = detail::attention_shape("attention", part, part, part, options);
  shape.query_stride = shape.key_stride = shape.value_stride = 3 * D;
  Tensor<T> y(part, qkv.device());
  Tensor<accum_t<T>> lse({shape.images, shape.heads, shape.queries}, qkv.device());
  on(qkv.device(), [&](auto device) {
    const T* q = qkv.data();
    kernels::attention(device, shape, q, q + D, q + 2 * D, y.data(), lse.data());
  });
  return record(
      "attention", y, {qkv}, [=, kept = detail::kept_result(y), dx = qkv.gradient()](const Tensor<T>& dy) {
        if (const GradientSink<T> sink = dx.sink())
          on(dy.device(), [&](auto device) {
            const T* q = qkv.data();
            T* dq = sink.data;
            kernels::attention_grad(device, shape, q, q + D, q + 2 * D, kept.data(), lse.data(), dy.data(),
                                    {dq, sink.add}, {dq + D, sink.add}, {dq + 2 * D, sink.add});
          });
      });
}

/// The attention map itself, softmax(scale q k^T) of every head: q (N, Lq, D), k (N, Lk, D) -> (N, heads, Lq,
/// Lk). Differentiable; keeps the map. Throws as attention().
template <Scalar T>
Tensor<T> attention_map(const Tensor<T>& q, const Tensor<T>& k, AttentionOptions options = {}) {
  const auto shape = detail::attention_shape("attention_map", q.shape(), k.shape(), k.shape(), options);
  require_one_device("attention_map", {&q, &k});
  Tensor<T> map({shape.images, shape.heads, shape.queries, shape.keys}, q.device());
  on(q.device(), [&](auto device) { kernels::attention_map(device, shape, q.data(), k.data(), map.data()); });
  return record(
      "attention_map", map, {q, k}, [=, dq = q.gradient(), dk = k.gradient()](const Tensor<T>& dmap) {
        const GradientSink<T> to_q = dq.sink(), to_k = dk.sink();
        on(dmap.device(), [&](auto device) {
          kernels::attention_map_grad(device, shape, q.data(), k.data(), map.data(), dmap.data(), to_q, to_k);
        });
      });
}

}  // namespace gram
