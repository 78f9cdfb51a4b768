// SPDX-License-Identifier: MIT
// Class attention of M classifier heads over the same tokens, re-associated so that keys and values are never
// formed: cpu/class_attention.hpp has the equations and the letters, but d^-1/2 comes to p here instead of q.
// Products with weights are batched over the attention heads of a classifier, those with tokens over images;
// kernels of class_attention_rows.cuh do what lies between. Of bf16, scores and statistics are float. Tokens
// are read once to be normalised, and hat(x) twice.
#pragma once
#include "gram/cuda/class_attention_grad.cuh"

namespace gram::cuda {

template <class T>
void class_attention(Cuda device, const kernels::ClassAttentionShape& s, const T* x, const T* const* queries,
                     const kernels::ClassAttentionPointers<T>* weights, T* kept, accum_t<T>* statistics,
                     T* out) {
  using A = accum_t<T>;
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, M = s.classifiers, R = s.rows(),
              ld = s.ld(), heads = s.heads, d = s.head_width();
  const kernels::ClassAttentionKept at(s);
  const kernels::ClassAttentionStatistics statistic(s);
  T *const hat_x = kept + at.hat_x, *const hat_c = kept + at.hat_c, *const t = kept + at.t,
           *const z = kept + at.z, *const a = kept + at.a, *const q = kept + at.q, *const o = kept + at.o;
  const ClassRows of_class{.image = C, .classifier = N * C, .per = 1},
      of_heads{.image = R * C, .classifier = heads * C, .per = heads};
  DeviceScratch<T> class_rows(device, M * N * C), head_rows(device, N * R * C);  // u; p, then y
  DeviceScratch<A> score_block(device, N * R * ld);
  T *const u = class_rows.data(), *const p = head_rows.data(), *const y = p;
  A *const scores = score_block.data(), *const rstd_c = statistics + statistic.rstd_c;

  layer_norm<T>(device, x, N * L, C, nullptr, nullptr, s.epsilon, hat_x, statistics + statistic.mean_x,
                statistics + statistic.rstd_x);
  for_classifiers(M, [&](Index first, Index count) {
    ClassTable<T> table{};
    std::copy_n(queries + first, count, table.first);
    launch(device, class_normalise_kernel<T>, class_blocks(count * N), class_warps(), 0, count * N, N, C,
           static_cast<A>(s.epsilon), table, hat_c + first * N * C, rstd_c + first * N);
  });
  class_affine(device, s, weights, 1, true, hat_c, of_class, u, of_class);
  for (Index m = 0; m < M; ++m) {
    gemm_batched(device, one_product, {N, E, C}, u + m * N * C, C, false, weights[m].q_weight, C, true,
                 q + m * N * E, E, {.bias = weights[m].q_bias});
    gemm_batched(device, {heads, d, d * C, C}, {N, C, d}, q + m * N * E, E, false, weights[m].k_weight, C,
                 false, t + m * heads * C, R * C, {});
  }

  class_affine(device, s, weights, s.scale(), false, t, of_heads, p, of_heads);
  gemm_batched(device, {N, R * C, L * C, R * ld}, {R, L, C}, p, C, false, hat_x, C, true, scores, ld, {});
  launch(device, class_softmax_kernel<T>, class_blocks(N * R), class_warps(), 0, s, scores, p, hat_c, a);
  gemm_batched(device, {N, R * ld, L * C, R * C}, {R, C, L}, a, ld, false, hat_x, C, false, z, C, {});
  class_affine(device, s, weights, 1, true, z, of_heads, y, of_heads, {a + L, hat_c, z});

  for (Index m = 0; m < M; ++m) {
    const kernels::ClassAttentionPointers<T>& w = weights[m];
    gemm_batched(device, {heads, C, d * C, d, w.v_bias ? d : 0}, {N, d, C}, y + m * heads * C, R * C, false,
                 w.v_weight, C, true, o + m * N * E, E, {.bias = w.v_bias});
    gemm_batched(device, one_product, {N, C, E}, o + m * N * E, E, false, w.proj_weight, E, true,
                 out + m * N * C, C, {.bias = w.proj_bias});
  }
}

template <class T>
void fill_in_class_attention_tables() {
  class_attention_table<T> = {class_attention<T>, class_attention_grad<T>};
}

}  // namespace gram::cuda
