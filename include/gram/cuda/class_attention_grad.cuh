// SPDX-License-Identifier: MIT
// Backward pass of class attention: the transposes of the products of the forward pass, in the order of
// cpu/class_attention_grad.hpp.
#pragma once
#include "gram/cuda/class_attention_rows.cuh"
#include "gram/cuda/copy.cuh"
#include "gram/cuda/gemm.cuh"
#include "gram/cuda/layer_norm.cuh"

namespace gram::cuda {

/// What the class token adds to rows before they are weighted: hat(c) times its weight in maps (N, R, ld).
template <class T>
struct ClassToken {
  const T *weight = nullptr, *hat = nullptr;
  T* mixed = nullptr;  ///< the rows with it
};

/// y = factor g x + b for rows of all classifiers, b where `shifted`.
template <class T>
void class_affine(Cuda device, const kernels::ClassAttentionShape& s,
                  const kernels::ClassAttentionPointers<T>* weights, double factor, bool shifted, const T* x,
                  const ClassRows& from, T* y, const ClassRows& to,
                  const ClassToken<std::type_identity_t<T>>& token = {}) {
  using A = accum_t<T>;
  for_classifiers(s.classifiers, [&](Index first, Index count) {
    ClassTable<A> table{};
    for (Index m = 0; m < count; ++m) {
      table.first[m] = weights[first + m].norm_weight;
      table.second[m] = weights[first + m].norm_bias;
    }
    ClassToken<T> part = token;
    if (token.weight) {
      part.weight += first * from.per * s.ld();
      part.hat += first * s.images * s.channels;
      part.mixed += first * from.classifier;
    }
    launch(device, class_affine_kernel<T>, static_cast<unsigned>(s.images * count * from.per), block_threads,
           0, s.images, count, s.channels, table, static_cast<A>(factor), shifted,
           x + first * from.classifier, from, part.weight, s.ld(), s.rows() * s.ld(), part.hat, part.mixed,
           y + first * to.classifier, to);
  });
}

/// Gradients of class_affine: dy <- factor g dy; dg and db (M, C) are added to, db where it is asked for.
template <class T>
void class_affine_grad(Cuda device, const kernels::ClassAttentionShape& s,
                       const kernels::ClassAttentionPointers<T>* weights, double factor, const T* x,
                       const ClassRows& from, T* dy, const ClassRows& at, accum_t<T>* dg, accum_t<T>* db) {
  using A = accum_t<T>;
  const Index C = s.channels, rows = s.images * from.per,
              parts = std::clamp<Index>(ceil_div(rows, 64), 1, 64);
  for_classifiers(s.classifiers, [&](Index first, Index count) {
    ClassTable<A> table{};
    for (Index m = 0; m < count; ++m) table.first[m] = weights[first + m].norm_weight;
    DeviceScratch<A> part_dg(device, parts * count * C), part_db(device, parts * count * C);
    launch(device, class_affine_grad_kernel<T>,
           dim3(static_cast<unsigned>(ceil_div(C, warp_size)), static_cast<unsigned>(count),
                static_cast<unsigned>(parts)),
           class_warps(), 0, s.images, count, C, table, static_cast<A>(factor), x + first * from.classifier,
           from, dy + first * at.classifier, at, part_dg.data(), part_db.data());
    class_sums(device, parts, count * C, part_dg.data(), GradientSink<A>{dg + first * C, true});
    if (db) class_sums(device, parts, count * C, part_db.data(), GradientSink<A>{db + first * C, true});
  });
}

template <class T>
void class_attention_grad(Cuda device, const kernels::ClassAttentionShape& s, const T* x,
                          const kernels::ClassAttentionPointers<T>* weights, const T* kept,
                          const accum_t<T>* statistics, const T* dout, GradientSink<T> dx,
                          const kernels::ClassAttentionSinks<T>* sinks) {
  using A = accum_t<T>;
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, M = s.classifiers, R = s.rows(),
              ld = s.ld(), heads = s.heads, d = s.head_width();
  const kernels::ClassAttentionKept at(s);
  const kernels::ClassAttentionStatistics statistic(s);
  const T *const hat_x = kept + at.hat_x, *const hat_c = kept + at.hat_c, *const t = kept + at.t,
                 *const z = kept + at.z;
  const ClassRows of_class{.image = C, .classifier = N * C, .per = 1},
      of_heads{.image = R * C, .classifier = heads * C, .per = heads},
      of_pairs{.image = 2 * R * C, .classifier = heads * C, .per = heads};
  // [a; ds] (N, 2 R, ld) and [dz; p] (N, 2 R, C): the gradient of hat(x) is one product, [a; ds]^T [dz; p]
  DeviceScratch<T> left_block(device, N * 2 * R * ld), right_block(device, N * 2 * R * C),
      head_rows(device, N * R * C), class_rows(device, M * N * C), u_rows(device, M * N * C),
      hat_c_rows(device, M * N * C), narrow_rows(device, N * E);
  DeviceScratch<A> norm_grads(device, 2 * M * C);
  T *const left = left_block.data(), *const right = right_block.data(), *const ds = left + R * ld,
           *const hat_c_grad = hat_c_rows.data();
  A *const dg = norm_grads.data(), *const db = dg + M * C;
  fill(device, dg, A(0), 2 * M * C);

  T* const y = head_rows.data();
  class_affine(device, s, weights, 1, true, z, of_heads, y, of_heads);
  class_affine(device, s, weights, s.scale(), false, t, of_heads, right + R * C, of_pairs);
  for (Index m = 0; m < M; ++m) {  // out = W_proj o + b_proj, o = W_v y + b_v
    const kernels::ClassAttentionPointers<T>& w = weights[m];
    const kernels::ClassAttentionSinks<T>& to = sinks[m];
    const T* const dy = dout + m * N * C;
    T* const d_o = narrow_rows.data();  // (N, E)
    gemm_batched(device, one_product, {N, E, C}, dy, C, false, w.proj_weight, E, false, d_o, E, {});
    if (to.proj_weight)
      gemm_batched(device, one_product, {C, E, N}, dy, C, true, kept + at.o + m * N * E, E, false,
                   to.proj_weight.data, E, {.add = to.proj_weight.add});
    class_sums(device, N, C, dy, to.proj_bias);
    if (to.v_weight)
      gemm_batched(device, {heads, d, C, d * C}, {d, C, N}, d_o, E, true, y + m * heads * C, R * C, false,
                   to.v_weight.data, C, {.add = to.v_weight.add});
    class_sums(device, N, E, d_o, to.v_bias);
    gemm_batched(device, {heads, d, d * C, C}, {N, C, d}, d_o, E, false, w.v_weight, C, false,
                 right + m * heads * C, 2 * R * C, {});
  }
  class_affine_grad(device, s, weights, 1, z, of_heads, right, of_pairs, dg, db);

  {
    DeviceScratch<A> da(device, N * R * ld);
    gemm_batched(device, {N, 2 * R * C, L * C, R * ld}, {R, L, C}, right, C, false, hat_x, C, true, da.data(),
                 ld, {});
    launch(device, class_softmax_grad_kernel<T>, class_blocks(N * R), class_warps(), 0, s, kept + at.a,
           da.data(), right, hat_c, left);
  }
  T* const dp = head_rows.data();
  gemm_batched(device, {N, 2 * R * ld, L * C, R * C}, {R, C, L}, ds, ld, false, hat_x, C, false, dp, C, {});
  launch(device, class_token_grad_kernel<T>, static_cast<unsigned>(N * M), block_threads, 0, s, left, right,
         hat_c, dp, hat_c_grad);
  if (dx) {
    DeviceScratch<T> hat_x_grad(device, N * L * C);
    gemm_batched(device, {N, 2 * R * ld, 2 * R * C, L * C}, {L, C, 2 * R}, left, ld, true, right, C, false,
                 hat_x_grad.data(), C, {});
    layer_norm_grad<T>(device, x, hat_x_grad.data(), N * L, C, nullptr, statistics + statistic.mean_x,
                       statistics + statistic.rstd_x, dx, {}, {});
  }

  class_affine_grad<T>(device, s, weights, s.scale(), t, of_heads, dp, of_heads, dg, nullptr);  // to dt
  T *const du = class_rows.data(), *const u = u_rows.data();
  class_affine(device, s, weights, 1, true, hat_c, of_class, u, of_class);
  for (Index m = 0; m < M; ++m) {  // t = W_k^T q, q = W_q u + b_q
    const kernels::ClassAttentionPointers<T>& w = weights[m];
    const kernels::ClassAttentionSinks<T>& to = sinks[m];
    T* const dq = narrow_rows.data();  // (N, E)
    const T* const dt = dp + m * heads * C;
    gemm_batched(device, {heads, C, d * C, d}, {N, d, C}, dt, R * C, false, w.k_weight, C, true, dq, E, {});
    if (to.k_weight)
      gemm_batched(device, {heads, d, C, d * C}, {d, C, N}, kept + at.q + m * N * E, E, true, dt, R * C,
                   false, to.k_weight.data, C, {.add = to.k_weight.add});
    if (to.k_bias && !to.k_bias.add) fill(device, to.k_bias.data, T{}, E);
    if (to.q_weight)
      gemm_batched(device, one_product, {E, C, N}, dq, E, true, u + m * N * C, C, false, to.q_weight.data, C,
                   {.add = to.q_weight.add});
    class_sums(device, N, E, dq, to.q_bias);
    gemm_batched(device, one_product, {N, C, E}, dq, E, false, w.q_weight, C, false, du + m * N * C, C, {});
  }
  class_affine_grad(device, s, weights, 1, hat_c, of_class, du, of_class, dg, db);  // u = g hat(c) + b
  for_classifiers(M, [&](Index first, Index count) {
    ClassSinkTable<A> norm_weights{}, norm_biases{};
    ClassSinkTable<T> queries{};
    for (Index m = 0; m < count; ++m) {
      norm_weights.to[m] = sinks[first + m].norm_weight;
      norm_biases.to[m] = sinks[first + m].norm_bias;
      queries.to[m] = sinks[first + m].query;
    }
    launch(device, class_deliver_kernel<A>, grid_blocks(C), block_threads, 0, count, C, dg + first * C,
           db + first * C, norm_weights, norm_biases);
    launch(device, class_normalise_grad_kernel<T>, class_blocks(N), class_warps(), 0, N, count, C,
           hat_c + first * N * C, statistics + statistic.rstd_c + first * N, du + first * N * C,
           hat_c_grad + first * N * C, queries);
  });
}

}  // namespace gram::cuda
