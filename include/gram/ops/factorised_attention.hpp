// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/elementwise.hpp"
#include "gram/cpu/gemm.hpp"
#include "gram/cpu/softmax.hpp"
#include "gram/cuda/elementwise.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/softmax.hpp"
#include "gram/ops/attention.hpp"

namespace gram {
namespace detail {

/// The products of factorised attention, over the heads of one image after another. Tokens (N, L, heads
/// width) are read and written where they lie; contexts are (N, heads, width, value_width).
template <class D>
struct FactorisedProducts {
  D device;
  kernels::AttentionShape s;

  /// context (heads, d, e) = x^T z, x (L, heads d), z (L, heads e), times the scale
  template <class T>
  void context(Index L, const T* x, const T* z, T* context) const {
    const Index d = s.width, e = s.value_width, size = s.heads * d * e;
    for (Index n = 0; n < s.images; ++n)
      kernels::gemm_batched(device, {s.heads, d, e, d * e}, {d, e, L}, x + n * L * s.heads * d, s.heads * d,
                            true, z + n * L * s.heads * e, s.heads * e, false, context + n * size, e);
    kernels::unary(device, kernels::Unary::affine, context, context, s.images * size, {s.scale});
  }
  /// z (L, heads e) (+)= x (L, heads d) context
  template <class T>
  void apply(Index L, const T* x, const T* context, const GradientSink<T>& z) const {
    const Index d = s.width, e = s.value_width;
    for (Index n = 0; n < s.images; ++n)
      kernels::gemm_batched(device, {s.heads, d, d * e, e}, {L, e, d}, x + n * L * s.heads * d, s.heads * d,
                            false, context + n * s.heads * d * e, e, false, z.data + n * L * s.heads * e,
                            s.heads * e, {.add = z.add});
  }
  /// x (L, heads d) (+)= z (L, heads e) context^T
  template <class T>
  void apply_transposed(Index L, const T* z, const T* context, const GradientSink<T>& x) const {
    const Index d = s.width, e = s.value_width;
    for (Index n = 0; n < s.images; ++n)
      kernels::gemm_batched(device, {s.heads, e, d * e, d}, {L, d, e}, z + n * L * s.heads * e, s.heads * e,
                            false, context + n * s.heads * d * e, e, true, x.data + n * L * s.heads * d,
                            s.heads * d, {.add = x.add});
  }
};

}  // namespace detail

/// Factorised attention (arXiv:2104.06399, section 3.1), q (N, Lq, D), k (N, Lk, D), v (N, Lk, Dv) -> (N, Lq,
/// Dv): in each head, y = scale q (p^T v) where p is the softmax of k over the tokens, channel by channel.
/// Linear in the number of tokens. Keeps p. Throws as attention().
template <Scalar T>
Tensor<T> factorised_attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                               AttentionOptions options = {}) {
  const auto s = detail::attention_shape("factorised_attention", q.shape(), k.shape(), v.shape(), options);
  require_one_device("factorised_attention", {&q, &k, &v});
  const AxisView over_tokens(k.shape(), 1, 2);
  Tensor<T> p(k.shape(), k.device()), y({s.images, s.queries, v.dim(2)}, q.device());
  Tensor<T> context({s.images, s.heads, s.width, s.value_width}, q.device());
  on(q.device(), [&](auto device) {
    const detail::FactorisedProducts<decltype(device)> products{device, s};
    kernels::softmax(device, false, k.data(), p.data(), over_tokens);
    products.context(s.keys, p.data(), v.data(), context.data());
    products.apply(s.queries, q.data(), context.data(), GradientSink<T>{y.data(), false});
  });
  return record(
      "factorised_attention", y, {q, k, v},
      [=, q = q.detach(), v = v.detach(), dq = q.gradient(), dk = k.gradient(),
       dv = v.gradient()](const Tensor<T>& dy) {
        on(dy.device(), [&](auto device) {
          const detail::FactorisedProducts<decltype(device)> products{device, s};
          if (const GradientSink<T> sink = dq.sink())  // dq = dy context^T
            products.apply_transposed(s.queries, dy.data(), context.data(), sink);
          if (!dk && !dv) return;
          const Tensor<T> dcontext(context.shape(), dy.device());  // scale q^T dy
          products.context(s.queries, q.data(), dy.data(), dcontext.data());
          if (const GradientSink<T> sink = dv.sink())  // dv = p dcontext
            products.apply(s.keys, p.data(), dcontext.data(), sink);
          if (!dk) return;
          Tensor<T> dp(p.shape(), dy.device());  // v dcontext^T
          products.apply_transposed(s.keys, v.data(), dcontext.data(), GradientSink<T>{dp.data(), false});
          const GradientSink<T> sink =
              dk.sink();  // k may be v: a sink is written before the next one is taken
          kernels::softmax_grad(device, false, p.data(), dp.data(), sink.data, sink.add, over_tokens);
        });
      });
}

}  // namespace gram
