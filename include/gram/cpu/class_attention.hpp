// SPDX-License-Identifier: MIT
// Class attention of M classifier heads over the same tokens, re-associated: with one query for each
// attention head, keys and values are never formed. hat(x) is x normalised without weight and bias; g, b are
// those of a classifier's layer norm, and rows r = m * heads + h number the attention heads of all
// classifiers.
//     q_h = d^-1/2 (W_q[h] (g hat(c) + b) + b_q)         t_h = W_k[h]^T q_h,  p_h = g t_h
//     a = softmax over [hat(x) p_h, hat(c) p_h]           (what b and b_k add is the same for every token)
//     z_h = a [hat(x), hat(c)],  y_h = g z_h + b          o_h = W_v[h] y_h + b_v   (the weights a sum to one)
//     out = W_proj o + b_proj
// Products with few rows take their weights as the left operand, which is read in place; so q and o are kept
// transposed.
#pragma once
#include "gram/cpu/attention.hpp"
#include "gram/cpu/gemm.hpp"

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

struct ClassAttentionShape {
  Index images, tokens, channels, width, heads, classifiers;  // N, L, C, E, attention heads, M
  double epsilon;

  Index head_width() const { return width / heads; }
  Index rows() const { return classifiers * heads; }
  /// Scores lie this far apart: L tokens, the class token, zeros.
  Index ld() const { return round_up(tokens + 1, 16); }
  double scale() const { return 1 / std::sqrt(static_cast<double>(head_width())); }
};

/// Parameters of one classifier's attention; q, k, v weights (E, C), proj (C, E). Biases may be null.
template <class A>
struct ClassAttentionPointers {
  const A *norm_weight, *norm_bias;  // g, b (C)
  const A *q_weight, *q_bias, *k_weight, *v_weight, *v_bias, *proj_weight, *proj_bias;
};
/// The same for gradients. Memory may be shared: sinks are written in this order, those of all classifiers up
/// to v_bias first.
template <class A>
struct ClassAttentionSinks {
  GradientSink<A> proj_weight, proj_bias, v_weight, v_bias;
  GradientSink<A> k_weight, k_bias, q_weight, q_bias, norm_weight, norm_bias, query;
};

/// Parts of the block that the forward pass keeps for the backward pass.
struct ClassAttentionKept {
  Index hat_x, rstd_x;  // (N, L, C), (N, L)
  Index hat_c, rstd_c;  // (M, N, C), (M, N)
  Index q, o;           // (M, E, N)
  Index t, z;           // (N, M heads, C)
  Index a;              // (N, M heads, ld)
  Index size;

  explicit ClassAttentionKept(const ClassAttentionShape& s) {
    cpu::Layout at;
    hat_x = at.take(s.images * s.tokens * s.channels), rstd_x = at.take(s.images * s.tokens);
    hat_c = at.take(s.classifiers * s.images * s.channels), rstd_c = at.take(s.classifiers * s.images);
    q = at.take(s.classifiers * s.width * s.images), o = at.take(s.classifiers * s.width * s.images);
    t = at.take(s.images * s.rows() * s.channels), z = at.take(s.images * s.rows() * s.channels);
    a = at.take(s.images * s.rows() * s.ld());
    size = at.size;
  }
};

/// Rows of C channels that make a piece of work.
inline Index row_grain(Index C) { return (std::max<Index>)(1, 16384 / (std::max<Index>)(C, 1)); }

/// tokens x (N, L, C), class tokens queries[m] (N, C) -> out (M, N, C); weights[m] for m < M; kept has
/// ClassAttentionKept(s).size elements.
template <class A>
void class_attention(Cpu device, const ClassAttentionShape& s, const A* x, const A* const* queries,
                     const ClassAttentionPointers<A>* weights, A* kept, A* out) {
  const auto& table = cpu::class_attention_table<A>();
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, M = s.classifiers, R = s.rows(),
              ld = s.ld();
  const Index heads = s.heads, d = s.head_width();
  const ClassAttentionKept at(s);
  A *const hat_x = kept + at.hat_x, *const hat_c = kept + at.hat_c, *const t = kept + at.t,
           *const z = kept + at.z, *const a = kept + at.a;
  Scratch<A> class_rows(N * C), head_rows(N * R * C);  // u, then out^T; p, then y

  parallel_for(N * L, row_grain(C), [&](Index i, Index end) {
    table.normalise_rows(end - i, C, static_cast<A>(s.epsilon), x + i * C, hat_x + i * C,
                         kept + at.rstd_x + i);
  });
  for (Index m = 0; m < M; ++m) {
    const ClassAttentionPointers<A>& w = weights[m];
    A *const u = class_rows.data(), *const q = kept + at.q + m * E * N;
    A* const hat = hat_c + m * N * C;
    parallel_for(N, row_grain(C), [&](Index i, Index end) {
      table.normalise_rows(end - i, C, static_cast<A>(s.epsilon), queries[m] + i * C, hat + i * C,
                           kept + at.rstd_c + m * N + i);
      table.affine_rows(end - i, C, hat + i * C, w.norm_weight, w.norm_bias, u + i * C);
    });
    gemm(device, {E, N, C}, w.q_weight, C, false, u, C, true, q, N);
    for (Index e = 0; e < E; ++e)
      for (Index n = 0; n < N; ++n)
        q[e * N + n] = static_cast<A>(s.scale()) * (q[e * N + n] + (w.q_bias ? w.q_bias[e] : A(0)));
    gemm_batched(device, {.count = heads, .stride_a = d * N, .stride_b = d * C, .stride_c = C}, {N, C, d}, q,
                 N, true, w.k_weight, C, false, t + m * heads * C, R * C);
  }

  A *const p = head_rows.data(), *const y = p;
  cpu::ItemLoop(N * M, 8 * heads * C).run([&](Index i, int) {
    const Index first = (i / M * R + i % M * heads) * C;
    table.affine_rows(heads, C, t + first, weights[i % M].norm_weight, nullptr, p + first);
  });
  gemm_batched(device, {.count = N, .stride_a = R * C, .stride_b = L * C, .stride_c = R * ld}, {R, L, C}, p,
               C, false, hat_x, C, true, a, ld);
  cpu::ItemLoop(N, 8 * R * C).run([&](Index n, int) {
    for (Index r = 0; r < R; ++r)
      a[(n * R + r) * ld + L] = table.dot(C, p + (n * R + r) * C, hat_c + (r / heads * N + n) * C);
    cpu::attention_table<A>().softmax_rows(R, L + 1, ld, a + n * R * ld, nullptr);
  });
  gemm_batched(device, {.count = N, .stride_a = R * ld, .stride_b = L * C, .stride_c = R * C}, {R, C, L}, a,
               ld, false, hat_x, C, false, z, C);
  cpu::ItemLoop(N * M, 8 * heads * C).run([&](Index i, int) {
    const Index n = i / M, m = i % M, first = n * R + m * heads;
    for (Index r = first; r < first + heads; ++r)
      table.add_scaled(C, a[r * ld + L], hat_c + (m * N + n) * C, z + r * C);
    table.affine_rows(heads, C, z + first * C, weights[m].norm_weight, weights[m].norm_bias, y + first * C);
  });

  for (Index m = 0; m < M; ++m) {
    const ClassAttentionPointers<A>& w = weights[m];
    A *const o = kept + at.o + m * E * N, *const transposed = class_rows.data();
    gemm_batched(device, {.count = heads, .stride_a = d * C, .stride_b = C, .stride_c = d * N}, {d, N, C},
                 w.v_weight, C, false, y + m * heads * C, R * C, true, o, N);
    for (Index e = 0; e < E && w.v_bias; ++e)
      for (Index n = 0; n < N; ++n) o[e * N + n] += w.v_bias[e];
    gemm(device, {C, N, E}, w.proj_weight, E, false, o, N, false, transposed, N);
    parallel_for(N, row_grain(C), [&](Index begin, Index end) {
      for (Index n = begin; n < end; ++n)
        for (Index c = 0; c < C; ++c)
          out[(m * N + n) * C + c] = transposed[c * N + n] + (w.proj_bias ? w.proj_bias[c] : A(0));
    });
  }
}

}  // namespace gram::kernels
