// SPDX-License-Identifier: MIT
// Class attention of M classifier heads over the same tokens, re-associated: with one query for each
// attention head, keys and values are never formed. hat(x) is x normalised without weight and bias; g, b are
// those of a classifier's layer norm, and rows r = m * heads + h number the attention heads of all
// classifiers.
//     q_h = d^-1/2 (W_q[h] (g hat(c) + b) + b_q)         t_h = W_k[h]^T q_h,  p_h = g t_h
//     a = softmax over [hat(x) p_h, hat(c) p_h]           (what b and b_k add is the same for every token)
//     z_h = a [hat(x), hat(c)],  y_h = g z_h + b          o_h = W_v[h] y_h + b_v   (the weights a sum to one)
//     out = W_proj o + b_proj
// Weights meet the N rows of a batch: the products of all classifiers are one loop, which reads each weight
// once (thin.hpp). Scores of an image are hat(x) P^T, P being the small side, so that only P is packed.
#pragma once
#include "gram/cpu/attention.hpp"
#include "gram/cpu/gemm.hpp"
#include "gram/kernels/class_attention.hpp"

namespace gram::cpu {

template <class A>
struct ClassAttentionTable {
  void (*normalise_rows)(Index rows, Index C, A epsilon, const A* x, A* hat, A* rstd);
  void (*normalise_rows_grad)(Index rows, Index C, const A* hat, const A* rstd, const A* dhat, A* dx,
                              bool add);
  void (*affine_rows)(Index rows, Index C, const A* x, const A* g, const A* b, A* y);
  void (*affine_rows_grad)(Index rows, Index columns, Index C, const A* x, const A* g, A* dy, A* dg, A* db);
  void (*add_scaled)(Index n, A a, const A* x, A* y);
  A (*dot)(Index n, const A* x, const A* y);
};
template <class A>
const ClassAttentionTable<A>& class_attention_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/class_attention.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class A>
const gram::cpu::ClassAttentionTable<A>& gram::cpu::class_attention_table() {
  return GRAM_SELECT(class_attention_kernels<A>);
}
#endif

namespace gram::kernels {

/// Rows of C channels that make a piece of work.
inline Index row_grain(Index C) { return (std::max<Index>)(1, 16384 / (std::max<Index>)(C, 1)); }

/// C = A B, or A B^T, for each attention head of each classifier, operands of(m * per + h), the heads of one
/// a fixed distance apart.
template <class A, class Of>
void class_products(Cpu device, Index classifiers, Index per, const GemmShape& s, Index lda, bool transpose_b,
                    Index ldb, Index ldc, Of&& of) {
  if (s.m <= cpu::thin_rows)
    return transpose_b ? cpu::thin_dots<A>(classifiers * per, s, lda, ldb, ldc, of)
                       : cpu::thin_mix<A>(classifiers * per, s, lda, ldb, ldc, of);
  for (Index m = 0; m < classifiers; ++m) {
    const cpu::ThinOperands<A> p = of(m * per), next = of(m * per + (per > 1));
    gemm_batched(device,
                 {per, next.a - p.a, next.b - p.b, next.c - p.c,
                  p.epilogue.bias ? next.epilogue.bias - p.epilogue.bias : 0},
                 s, p.a, lda, false, p.b, ldb, transpose_b, p.c, ldc, p.epilogue);
  }
}

/// a (N, R, ld) = p (N, R, C) hat(x)^T, the class token aside; images of p and a lie p_image and a_image
/// apart.
template <class A>
void class_scores(const ClassAttentionShape& s, const A* p, Index p_image, const A* hat_x, A* a,
                  Index a_image) {
  const Index L = s.tokens, C = s.channels, R = s.rows(), ld = s.ld();
  cpu::Layout at;
  const Index panels = at.take(cpu::tile_table<A>().packed_size(C, R)), turned = at.take(L * R);
  const cpu::ItemLoop images(s.images, R * L * C);
  Scratch<A> scratch(images.workers() * at.size);
  images.run([&](Index n, int worker) {
    A *const memory = scratch.data() + worker * at.size, *const scores = memory + turned;
    cpu::pack(C, R, cpu::operand(p + n * p_image, C, true), memory + panels);
    cpu::multiply_packed({L, R, C}, hat_x + n * L * C, C, memory + panels, scores, R);
    for (Index r = 0; r < R; ++r)
      for (Index l = 0; l < L; ++l) a[n * a_image + r * ld + l] = scores[l * R + r];
  });
}

/// tokens x (N, L, C), class tokens queries[m] (N, C) -> out (M, N, C); weights[m] for m < M; kept has
/// ClassAttentionKept(s).size elements, statistics ClassAttentionStatistics(s).size.
template <class A>
void class_attention(Cpu device, const ClassAttentionShape& s, const A* x, const A* const* queries,
                     const ClassAttentionPointers<A>* weights, A* kept, A* statistics, A* out) {
  const auto& table = cpu::class_attention_table<A>();
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, M = s.classifiers, R = s.rows(),
              ld = s.ld();
  const Index heads = s.heads, d = s.head_width();
  const ClassAttentionKept at(s);
  const ClassAttentionStatistics statistic(s);
  A *const hat_x = kept + at.hat_x, *const hat_c = kept + at.hat_c, *const t = kept + at.t,
           *const z = kept + at.z, *const a = kept + at.a;
  Scratch<A> class_rows(M * N * C), head_rows(N * R * C);  // u; p, then y
  A *const u = class_rows.data(), *const q = kept + at.q, *const o = kept + at.o;
  using Operands = cpu::ThinOperands<A>;

  parallel_for(N * L, row_grain(C), [&](Index i, Index end) {
    table.normalise_rows(end - i, C, static_cast<A>(s.epsilon), x + i * C, hat_x + i * C,
                         statistics + statistic.rstd_x + i);
  });
  cpu::ItemLoop(M * N, 8 * C).run([&](Index i, int) {
    const ClassAttentionPointers<A>& w = weights[i / N];
    table.normalise_rows(1, C, static_cast<A>(s.epsilon), queries[i / N] + i % N * C, hat_c + i * C,
                         statistics + statistic.rstd_c + i);
    table.affine_rows(1, C, hat_c + i * C, w.norm_weight, w.norm_bias, u + i * C);
  });
  class_products<A>(device, M, 1, {N, E, C}, C, true, C, E, [&](Index m) {
    return Operands{u + m * N * C, weights[m].q_weight, q + m * N * E, {.bias = weights[m].q_bias}};
  });
  for (Index i = 0; i < M * N * E; ++i) q[i] *= static_cast<A>(s.scale());
  class_products<A>(device, M, heads, {N, C, d}, E, false, C, R * C, [&](Index r) {
    return Operands{q + r / heads * N * E + r % heads * d, weights[r / heads].k_weight + r % heads * d * C,
                    t + r * C};
  });

  A *const p = head_rows.data(), *const y = p;
  cpu::ItemLoop(N * M, 8 * heads * C).run([&](Index i, int) {
    const Index first = (i / M * R + i % M * heads) * C;
    table.affine_rows(heads, C, t + first, weights[i % M].norm_weight, nullptr, p + first);
  });
  class_scores(s, p, R * C, hat_x, a, R * ld);
  cpu::ItemLoop(N, 8 * R * C).run([&](Index n, int) {
    for (Index r = 0; r < R; ++r)
      a[(n * R + r) * ld + L] = table.dot(C, p + (n * R + r) * C, hat_c + (r / heads * N + n) * C);
    cpu::attention_table<A>().softmax_rows(R, L + 1, ld, a + n * R * ld);
  });
  gemm_batched(device, {.count = N, .stride_a = R * ld, .stride_b = L * C, .stride_c = R * C}, {R, C, L}, a,
               ld, false, hat_x, C, false, z, C);
  cpu::ItemLoop(N * M, 8 * heads * C).run([&](Index i, int) {
    const Index n = i / M, m = i % M, first = n * R + m * heads;
    for (Index r = first; r < first + heads; ++r)
      table.add_scaled(C, a[r * ld + L], hat_c + (m * N + n) * C, z + r * C);
    table.affine_rows(heads, C, z + first * C, weights[m].norm_weight, weights[m].norm_bias, y + first * C);
  });

  class_products<A>(device, M, heads, {N, d, C}, R * C, true, C, E, [&](Index r) {
    const ClassAttentionPointers<A>& w = weights[r / heads];
    const Index first = r % heads * d;
    return Operands{y + r * C,
                    w.v_weight + first * C,
                    o + r / heads * N * E + first,
                    {.bias = w.v_bias ? w.v_bias + first : nullptr}};
  });
  class_products<A>(device, M, 1, {N, C, E}, E, true, E, C, [&](Index m) {
    return Operands{o + m * N * E, weights[m].proj_weight, out + m * N * C, {.bias = weights[m].proj_bias}};
  });
}

}  // namespace gram::kernels
