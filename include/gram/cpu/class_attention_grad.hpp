// SPDX-License-Identifier: MIT
// Backward pass of class attention: the transposes of the products of the forward pass, see
// class_attention.hpp.
#pragma once
#include "gram/cpu/class_attention.hpp"
#include "gram/cpu/sum_rows.hpp"

namespace gram::kernels {

/// Memory of a sink, cleared when it is fresh.
template <class A>
A* cleared(GradientSink<A> sink, Index size) {
  if (sink.data && !sink.add) std::fill_n(sink.data, size, A(0));
  return sink.data;
}

/// sink (columns) = sum of the rows of x (rows, columns)
template <class A>
void sum_rows_into(GradientSink<A> sink, Index rows, Index columns, const A* x) {
  if (sink.data) sum_rows(Cpu{}, rows, columns, x, sink.data, sink.add);
}

/// The gradients of y = g x + b for rows that belong to classifiers: those of classifier m lie in x (N,
/// per_image, C) at m * heads * C of each image, those of dy likewise. dg, db (M, C) are added to, dy becomes
/// g dy.
template <class A>
void affine_grad(const ClassAttentionShape& s, Index heads, const A* x, Index x_image, A* dy, Index dy_image,
                 Index classifier, const ClassAttentionPointers<A>* weights, A* dg, A* db) {
  constexpr Index block = 128;  // columns of a task
  const Index C = s.channels, blocks = ceil_div(C, block);
  cpu::ItemLoop(s.classifiers * blocks, 8 * s.images * heads * block).run([&](Index i, int) {
    const Index m = i / blocks, c = i % blocks * block, columns = (std::min)(block, C - c);
    for (Index n = 0; n < s.images; ++n)
      cpu::class_attention_table<A>().affine_rows_grad(
          heads, columns, C, x + n * x_image + m * classifier + c, weights[m].norm_weight + c,
          dy + n * dy_image + m * classifier + c, dg + m * C + c, db ? db + m * C + c : nullptr);
  });
}

/// Gradients of class_attention. kept and statistics are what the forward pass left; tokens are not read
/// again; sinks[m] for m < M.
template <class A>
void class_attention_grad(Cpu device, const ClassAttentionShape& s, const A* /*x*/,
                          const ClassAttentionPointers<A>* weights, const A* kept, const A* statistics,
                          const A* dout, GradientSink<A> dx, const ClassAttentionSinks<A>* sinks) {
  const auto& table = cpu::class_attention_table<A>();
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, M = s.classifiers, R = s.rows(),
              ld = s.ld();
  const Index heads = s.heads, d = s.head_width(), per_m = heads * C;
  const ClassAttentionKept at(s);
  const ClassAttentionStatistics statistic(s);
  const A *const hat_x = kept + at.hat_x, *const hat_c = kept + at.hat_c, *const t = kept + at.t,
                 *const z = kept + at.z;
  // [a; ds] (N, 2 R, ld) and [dz; p] (N, 2 R, C): the gradient of hat(x) is one product, [a; ds]^T [dz; p]
  Scratch<A> left_block(N * 2 * R * ld), right_block(N * 2 * R * C), head_rows(N * R * C),
      class_rows(M * N * C);
  Scratch<A> hat_c_grad(M * N * C), narrow(N * E), norm_grads(2 * M * C);
  A *const left = left_block.data(), *const right = right_block.data(), *const ds = left + R * ld,
           *const p = right + R * C;
  A *const dg = norm_grads.data(), *const db = dg + M * C;
  std::fill_n(dg, 2 * M * C, A(0));

  A* const y = head_rows.data();
  cpu::ItemLoop(N * M, 8 * heads * C).run([&](Index i, int) {
    const Index n = i / M, m = i % M, first = n * R + m * heads;
    table.affine_rows(heads, C, z + first * C, weights[m].norm_weight, weights[m].norm_bias, y + first * C);
    table.affine_rows(heads, C, t + first * C, weights[m].norm_weight, nullptr,
                      p + n * 2 * R * C + m * per_m);
    std::copy_n(kept + at.a + first * ld, heads * ld, left + (n * 2 * R + m * heads) * ld);
  });
  for (Index m = 0; m < M; ++m) {  // out = W_proj o + b_proj, o = W_v y + b_v
    const ClassAttentionPointers<A>& w = weights[m];
    const ClassAttentionSinks<A>& to = sinks[m];
    const A* const dy = dout + m * N * C;
    A* const d_o = narrow.data();  // (N, E)
    gemm(device, {N, E, C}, dy, C, false, w.proj_weight, E, false, d_o, E);
    if (to.proj_weight.data)
      gemm(device, {C, E, N}, dy, C, true, kept + at.o + m * N * E, E, false, to.proj_weight.data, E,
           {.add = to.proj_weight.add});
    sum_rows_into(to.proj_bias, N, C, dy);
    if (to.v_weight.data)
      gemm_batched(device, {.count = heads, .stride_a = d, .stride_b = C, .stride_c = d * C}, {d, C, N}, d_o,
                   E, true, y + m * per_m, R * C, false, to.v_weight.data, C, {.add = to.v_weight.add});
    sum_rows_into(to.v_bias, N, E, d_o);
    gemm_batched(device, {.count = heads, .stride_a = d, .stride_b = d * C, .stride_c = C}, {N, C, d}, d_o, E,
                 false, w.v_weight, C, false, right + m * per_m, 2 * R * C);
  }
  affine_grad(s, heads, z, R * C, right, 2 * R * C, per_m, weights, dg, db);  // y = g z + b

  class_scores(s, static_cast<const A*>(right), 2 * R * C, hat_x, ds, 2 * R * ld);
  cpu::ItemLoop(N, 8 * R * C).run([&](Index n, int) {  // a = softmax(s)
    A *const a_n = left + n * 2 * R * ld, *const ds_n = ds + n * 2 * R * ld;
    for (Index r = 0; r < R; ++r)
      ds_n[r * ld + L] = table.dot(C, right + (n * 2 * R + r) * C, hat_c + (r / heads * N + n) * C);
    cpu::attention_table<A>().softmax_rows_grad(R, L + 1, ld, a_n, ds_n);
  });
  A* const dp = head_rows.data();
  gemm_batched(device, {.count = N, .stride_a = 2 * R * ld, .stride_b = L * C, .stride_c = R * C}, {R, C, L},
               ds, ld, false, hat_x, C, false, dp, C);
  std::fill_n(hat_c_grad.data(), M * N * C, A(0));
  cpu::ItemLoop(N, 8 * R * C).run([&](Index n, int) {  // the class token's part of both products
    for (Index r = 0; r < R; ++r) {
      const Index of_c = (r / heads * N + n) * C, row = n * 2 * R + r;
      const A a_c = left[row * ld + L], ds_c = left[(row + R) * ld + L];
      table.add_scaled(C, ds_c, hat_c + of_c, dp + (n * R + r) * C);
      table.add_scaled(C, a_c, right + row * C, hat_c_grad.data() + of_c);
      table.add_scaled(C, ds_c, right + (row + R) * C, hat_c_grad.data() + of_c);
    }
  });
  if (dx.data) {
    Scratch<A> hat_x_grad(N * L * C);
    gemm_batched(device, {.count = N, .stride_a = 2 * R * ld, .stride_b = 2 * R * C, .stride_c = L * C},
                 {L, C, 2 * R}, left, ld, true, right, C, false, hat_x_grad.data(), C);
    parallel_for(N * L, row_grain(C), [&](Index i, Index end) {
      table.normalise_rows_grad(end - i, C, hat_x + i * C, statistics + statistic.rstd_x + i,
                                &hat_x_grad[i * C], dx.data + i * C, dx.add);
    });
  }

  affine_grad<A>(s, heads, t, R * C, dp, R * C, per_m, weights, dg, nullptr);  // p = g t; dp becomes dt
  A* const du = class_rows.data();
  for (Index m = 0; m < M; ++m) {  // t = W_k^T q, q = scale (W_q u + b_q)
    const ClassAttentionPointers<A>& w = weights[m];
    const ClassAttentionSinks<A>& to = sinks[m];
    A *const dq = narrow.data(), *const u = right;  // (N, E), (N, C); what right held is used up
    const A* const dt = dp + m * per_m;
    gemm_batched(device, {.count = heads, .stride_a = C, .stride_b = d * C, .stride_c = d}, {N, d, C}, dt,
                 R * C, false, w.k_weight, C, true, dq, E);
    if (to.k_weight.data)
      gemm_batched(device, {.count = heads, .stride_a = d, .stride_b = C, .stride_c = d * C}, {d, C, N},
                   kept + at.q + m * N * E, E, true, dt, R * C, false, to.k_weight.data, C,
                   {.add = to.k_weight.add});
    cleared(to.k_bias, E);
    for (Index i = 0; i < E * N; ++i) dq[i] *= static_cast<A>(s.scale());
    if (to.q_weight.data) {
      table.affine_rows(N, C, hat_c + m * N * C, w.norm_weight, w.norm_bias, u);
      gemm(device, {E, C, N}, dq, E, true, u, C, false, to.q_weight.data, C, {.add = to.q_weight.add});
    }
    sum_rows_into(to.q_bias, N, E, dq);
    gemm(device, {N, C, E}, dq, E, false, w.q_weight, C, false, du + m * N * C, C);
  }
  affine_grad(s, 1, hat_c, C, du, C, N * C, weights, dg, db);  // u = g hat(c) + b
  for (Index m = 0; m < M; ++m) {
    const ClassAttentionSinks<A>& to = sinks[m];
    sum_rows_into(to.norm_weight, 1, C, dg + m * C);
    sum_rows_into(to.norm_bias, 1, C, db + m * C);
    if (!to.query.data) continue;
    A* const dhat = du + m * N * C;
    table.add_scaled(N * C, 1, hat_c_grad.data() + m * N * C, dhat);
    table.normalise_rows_grad(N, C, hat_c + m * N * C, statistics + statistic.rstd_c + m * N, dhat,
                              to.query.data, to.query.add);
  }
}

}  // namespace gram::kernels
