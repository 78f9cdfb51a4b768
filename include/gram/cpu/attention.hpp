// SPDX-License-Identifier: MIT
// Multi-head attention, one (image, head) for each task. A tile of queries meets all keys at once; everything
// a head needs lies in the task's scratch:
//
//     s (66, L) = q (66, d) k^T (d, L)     q is read where it lies, k^T is packed
//     p = 2^(s - largest of its row)
//     y (66, d) = p v (L, d)               v is packed; rows are then divided by their sum of p
//
// Scores are made for whole vectors of keys, so that no pass over them has a rest; a vector of zeros and
// minus infinities takes out those behind the last key. The scale of the scores and log2 e are one factor,
// applied where the largest score is subtracted, and rows of d values are divided instead of rows of L
// exponentials. Forward keeps the logarithm of each row's sum, backward computes the scores again.
#pragma once
#include <limits>
#include <numbers>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/math.hpp"
#include "gram/cpu/packed.hpp"
#include "gram/kernels/attention.hpp"

namespace gram::cpu {

template <class T>
struct AttentionTable {
  using A = accum_t<T>;
  void (*gather_rows)(Index rows, Index cols, const T* x, Index ldx, A scale, A* y, Index ldy);
  void (*scatter_rows)(Index rows, Index cols, const A* x, Index ldx, A scale, T* y, Index ldy, bool add);
  void (*softmax_rows)(Index rows, Index n, Index ld, A* s);
  void (*softmax_rows_grad)(Index rows, Index n, Index ld, A* s, A* dp);
  void (*exponential_rows)(Index rows, Index n, Index ld, A scale, A* s, A* sums, A* lse);
  void (*divide_rows)(Index rows, Index cols, const A* x, Index ldx, const A* divisors, T* y, Index ldy);
  void (*score_grad_rows)(Index rows, Index n, Index ld, A scale, const A* lse, A* s, A* dp);
};
template <class T>
const AttentionTable<T>& attention_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/attention.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::AttentionTable<T>& gram::cpu::attention_table() {
  return GRAM_SELECT(attention_kernels<T>);
}
#endif

namespace gram::kernels {

/// Queries whose scores are in work at a time: 66 rows, eleven tiles, in the forward pass (three times that
/// are the 197 tokens of a vision transformer), in the backward pass as many as keep two tiles within 400 KB.
inline Index attention_tile(const AttentionShape& s) { return (std::min<Index>)(66, s.queries); }
inline Index attention_grad_tile(const AttentionShape& s) {
  return std::clamp<Index>(49152 / round_up(s.keys, 16), 12, (std::max<Index>)(12, s.queries));
}

/// `rows` rows of x in the type sums are made in: x itself, or a copy.
template <class T>
struct AttentionOperand {
  const accum_t<T>* data;
  Index stride;
  AttentionOperand(Index rows, Index width, const T* x, Index ldx, accum_t<T>* copy) {
    if constexpr (std::is_same_v<T, accum_t<T>>) {
      data = x, stride = ldx;
    } else {
      cpu::attention_table<T>().gather_rows(rows, width, x, ldx, 1, copy, width);
      data = copy, stride = width;
    }
  }
  cpu::Operand<accum_t<T>> plain() const { return {data, stride, 1}; }
  cpu::Operand<accum_t<T>> transposed() const { return {data, 1, stride}; }
  static Index copy_size(Index rows, Index width) { return std::is_same_v<T, accum_t<T>> ? 0 : rows * width; }
};

/// The factor that makes scores powers of two, exp(scale x) = 2^(factor x).
template <class A>
A binary_scale(double scale) {
  return static_cast<A>(scale * std::numbers::log2e);
}

/// y (images, queries, heads, value_width) = softmax(scale q k^T) v;  lse (images, heads, queries), the
/// base-2 logarithm of each row's sum of exponentials.
template <class T>
void attention(Cpu, const AttentionShape& s, const T* q, const T* k, const T* v, T* y, accum_t<T>* lse) {
  using A = accum_t<T>;
  const auto& table = cpu::attention_table<T>();
  const auto& tile = cpu::tile_table<A>();
  const Index step = attention_tile(s), ld = round_up(s.keys, 16), ldy = s.heads * s.value_width;
  const Index columns = round_up(s.keys, tile.lanes);
  cpu::Layout at;
  const Index scores = at.take(step * ld), values = at.take(step * s.value_width), sums = at.take(step),
              kt = at.take(tile.packed_size(s.width, s.keys)),
              vs = at.take(tile.packed_size(s.keys, s.value_width)),
              q_copy = at.take(AttentionOperand<T>::copy_size(step, s.width)),
              copy = at.take(AttentionOperand<T>::copy_size(s.keys, (std::max)(s.width, s.value_width)));
  const cpu::ItemLoop blocks(s.images * s.heads, s.queries * s.keys * (s.width + s.value_width));
  Scratch<A> scratch(blocks.workers() * at.size);
  blocks.run([&](Index block, int worker) {
    A* const m = scratch.data() + worker * at.size;
    const Index n = block / s.heads, h = block % s.heads;
    const T* q0 = q + n * s.queries * s.query_stride + h * s.width;
    T* y0 = y + n * s.queries * ldy + h * s.value_width;
    {
      const AttentionOperand<T> K(s.keys, s.width, k + n * s.keys * s.key_stride + h * s.width, s.key_stride,
                                  m + copy);
      cpu::pack(s.width, s.keys, K.transposed(), m + kt);
      const AttentionOperand<T> V(s.keys, s.value_width, v + n * s.keys * s.value_stride + h * s.value_width,
                                  s.value_stride, m + copy);
      cpu::pack(s.keys, s.value_width, V.plain(), m + vs);
    }
    for (Index i = 0; i < s.queries; i += step) {
      const Index rows = (std::min)(step, s.queries - i);
      const AttentionOperand<T> Q(rows, s.width, q0 + i * s.query_stride, s.query_stride, m + q_copy);
      cpu::multiply_packed({rows, columns, s.width}, Q.data, Q.stride, m + kt, m + scores, ld);
      table.exponential_rows(rows, s.keys, ld, binary_scale<A>(s.scale), m + scores, m + sums,
                             lse + block * s.queries + i);
      cpu::multiply_packed({rows, s.value_width, s.keys}, m + scores, ld, m + vs, m + values, s.value_width);
      table.divide_rows(rows, s.value_width, m + values, s.value_width, m + sums, y0 + i * ldy, ldy);
    }
  });
}

/// The part of the backward passes that leads from the gradients of scores to those of queries and keys.
template <class T>
class ScoreGradient {
  using A = accum_t<T>;

 public:
  ScoreGradient(const AttentionShape& shape, Index step, cpu::Layout& at)
      : s_(shape),
        ld_(round_up(shape.keys, 16)),
        dq_(at.take(step * shape.width)),
        dk_(at.take(shape.keys * shape.width)),
        ks_(at.take(cpu::tile_table<A>().packed_size(shape.keys, shape.width))),
        outer_(at.take(cpu::gemm_outer_scratch<A>())) {}

  void begin(A* m, const AttentionOperand<T>& k) const {
    cpu::pack(s_.keys, s_.width, k.plain(), m + ks_);
    std::fill_n(m + dk_, s_.keys * s_.width, A(0));
  }
  /// dq = scale ds k and dk += ds^T (scale q) for the rows of one tile; scaled_q holds scale q.
  void tile(A* m, Index rows, const A* ds, const A* scaled_q, GradientSink<T> dq, bool wants_dk) const {
    if (dq.data) {
      cpu::multiply_packed({rows, s_.width, s_.keys}, ds, ld_, m + ks_, m + dq_, s_.width);
      cpu::attention_table<T>().scatter_rows(rows, s_.width, m + dq_, s_.width, static_cast<A>(s_.scale),
                                             dq.data, s_.query_stride, dq.add);
    }
    if (wants_dk)
      cpu::gemm_outer({s_.keys, s_.width, rows}, ds, ld_, cpu::operand(scaled_q, s_.width, false), m + dk_,
                      s_.width, {.add = true}, m + outer_);
  }
  void end(A* m, GradientSink<T> dk) const {
    if (dk.data)
      cpu::attention_table<T>().scatter_rows(s_.keys, s_.width, m + dk_, s_.width, 1, dk.data, s_.key_stride,
                                             dk.add);
  }

 private:
  const AttentionShape& s_;
  Index ld_, dq_, dk_, ks_, outer_;
};

/// Sinks may share memory: they are written in the order q, k, v.
/// With p = exp(scale q k^T - lse), dp = dy v^T and ds = p (dp - sum p dp): dv = p^T dy, dq = scale ds k, dk
/// = scale ds^T q. Only devices that never have a whole row of p take its sum from the result, sum p dp = sum
/// y dy.
template <class T>
void attention_grad(Cpu, const AttentionShape& s, const T* q, const T* k, const T* v, const T* /*y*/,
                    const accum_t<T>* lse, const T* dy, GradientSink<T> dq, GradientSink<T> dk,
                    GradientSink<T> dv) {
  using A = accum_t<T>;
  const auto& table = cpu::attention_table<T>();
  const auto& tile = cpu::tile_table<A>();
  const Index step = attention_grad_tile(s), ld = round_up(s.keys, 16), ldy = s.heads * s.value_width;
  const Index columns = round_up(s.keys, tile.lanes);
  cpu::Layout at;
  const Index queries = at.take(step * s.width), out = at.take(step * s.value_width),
              scores = at.take(step * ld), ds = at.take(step * ld), values = at.take(s.keys * s.value_width),
              kt = at.take(tile.packed_size(s.width, s.keys)),
              vt = at.take(tile.packed_size(s.value_width, s.keys)),
              outer = at.take(cpu::gemm_outer_scratch<A>()),
              k_copy = at.take(AttentionOperand<T>::copy_size(s.keys, s.width)),
              v_copy = at.take(AttentionOperand<T>::copy_size(s.keys, s.value_width));
  const ScoreGradient<T> score_gradient(s, step, at);
  const cpu::ItemLoop blocks(s.images * s.heads, s.queries * s.keys * (s.width + s.value_width));
  Scratch<A> scratch(blocks.workers() * at.size);
  blocks.run([&](Index block, int worker) {
    A* const m = scratch.data() + worker * at.size;
    const Index n = block / s.heads, h = block % s.heads;
    const Index q0 = n * s.queries * s.query_stride + h * s.width,
                k0 = n * s.keys * s.key_stride + h * s.width,
                v0 = n * s.keys * s.value_stride + h * s.value_width,
                y0 = n * s.queries * ldy + h * s.value_width;
    const AttentionOperand<T> K(s.keys, s.width, k + k0, s.key_stride, m + k_copy);
    const AttentionOperand<T> V(s.keys, s.value_width, v + v0, s.value_stride, m + v_copy);
    cpu::pack(s.width, s.keys, K.transposed(), m + kt);
    cpu::pack(s.value_width, s.keys, V.transposed(), m + vt);
    score_gradient.begin(m, K);
    std::fill_n(m + values, s.keys * s.value_width, A(0));
    for (Index i = 0; i < s.queries; i += step) {
      const Index rows = (std::min)(step, s.queries - i);
      table.gather_rows(rows, s.width, q + q0 + i * s.query_stride, s.query_stride, static_cast<A>(s.scale),
                        m + queries, s.width);
      table.gather_rows(rows, s.value_width, dy + y0 + i * ldy, ldy, 1, m + out, s.value_width);
      cpu::multiply_packed({rows, columns, s.width}, m + queries, s.width, m + kt, m + scores, ld);
      cpu::multiply_packed({rows, columns, s.value_width}, m + out, s.value_width, m + vt, m + ds, ld);
      table.score_grad_rows(rows, s.keys, ld, binary_scale<A>(1), lse + block * s.queries + i, m + scores,
                            m + ds);
      if (dv.data)
        cpu::gemm_outer({s.keys, s.value_width, rows}, m + scores, ld,
                        cpu::operand(m + out, s.value_width, false), m + values, s.value_width, {.add = true},
                        m + outer);
      const GradientSink<T> rows_dq{dq.data ? dq.data + q0 + i * s.query_stride : nullptr, dq.add};
      score_gradient.tile(m, rows, m + ds, m + queries, rows_dq, dk.data);
    }
    score_gradient.end(m, {dk.data ? dk.data + k0 : nullptr, dk.add});
    if (dv.data)
      table.scatter_rows(s.keys, s.value_width, m + values, s.value_width, 1, dv.data + v0, s.value_stride,
                         dv.add);
  });
}

/// map (images, heads, queries, keys) = softmax(scale q k^T)
template <class T>
void attention_map(Cpu, const AttentionShape& s, const T* q, const T* k, T* map) {
  using A = accum_t<T>;
  const auto& table = cpu::attention_table<T>();
  const Index step = attention_tile(s), ld = round_up(s.keys, 16);
  cpu::Layout at;
  const Index queries = at.take(step * s.width), scores = at.take(step * ld),
              kt = at.take(cpu::tile_table<A>().packed_size(s.width, s.keys)),
              copy = at.take(AttentionOperand<T>::copy_size(s.keys, s.width));
  const cpu::ItemLoop blocks(s.images * s.heads, s.queries * s.keys * (s.width + s.value_width));
  Scratch<A> scratch(blocks.workers() * at.size);
  blocks.run([&](Index block, int worker) {
    A* const m = scratch.data() + worker * at.size;
    const Index n = block / s.heads, h = block % s.heads;
    const T* q0 = q + n * s.queries * s.query_stride + h * s.width;
    const AttentionOperand<T> K(s.keys, s.width, k + n * s.keys * s.key_stride + h * s.width, s.key_stride,
                                m + copy);
    cpu::pack(s.width, s.keys, K.transposed(), m + kt);
    for (Index i = 0; i < s.queries; i += step) {
      const Index rows = (std::min)(step, s.queries - i);
      table.gather_rows(rows, s.width, q0 + i * s.query_stride, s.query_stride, static_cast<A>(s.scale),
                        m + queries, s.width);
      cpu::multiply_packed({rows, s.keys, s.width}, m + queries, s.width, m + kt, m + scores, ld);
      table.softmax_rows(rows, s.keys, ld, m + scores);
      table.scatter_rows(rows, s.keys, m + scores, ld, 1, map + (block * s.queries + i) * s.keys, s.keys,
                         false);
    }
  });
}

/// ds = map (dmap - sum map dmap), dq = scale ds k, dk = scale ds^T q.
template <class T>
void attention_map_grad(Cpu, const AttentionShape& s, const T* q, const T* k, const T* map, const T* dmap,
                        GradientSink<T> dq, GradientSink<T> dk) {
  using A = accum_t<T>;
  const auto& table = cpu::attention_table<T>();
  const Index step = attention_grad_tile(s), ld = round_up(s.keys, 16);
  cpu::Layout at;
  const Index queries = at.take(step * s.width), p = at.take(step * ld), ds = at.take(step * ld),
              copy = at.take(AttentionOperand<T>::copy_size(s.keys, s.width));
  const ScoreGradient<T> score_gradient(s, step, at);
  const cpu::ItemLoop blocks(s.images * s.heads, s.queries * s.keys * (s.width + s.value_width));
  Scratch<A> scratch(blocks.workers() * at.size);
  blocks.run([&](Index block, int worker) {
    A* const m = scratch.data() + worker * at.size;
    const Index n = block / s.heads, h = block % s.heads;
    const Index q0 = n * s.queries * s.query_stride + h * s.width,
                k0 = n * s.keys * s.key_stride + h * s.width;
    score_gradient.begin(m, AttentionOperand<T>(s.keys, s.width, k + k0, s.key_stride, m + copy));
    for (Index i = 0; i < s.queries; i += step) {
      const Index rows = (std::min)(step, s.queries - i), first = (block * s.queries + i) * s.keys;
      table.gather_rows(rows, s.width, q + q0 + i * s.query_stride, s.query_stride, static_cast<A>(s.scale),
                        m + queries, s.width);
      table.gather_rows(rows, s.keys, map + first, s.keys, 1, m + p, ld);
      table.gather_rows(rows, s.keys, dmap + first, s.keys, 1, m + ds, ld);
      table.softmax_rows_grad(rows, s.keys, ld, m + p, m + ds);
      const GradientSink<T> rows_dq{dq.data ? dq.data + q0 + i * s.query_stride : nullptr, dq.add};
      score_gradient.tile(m, rows, m + ds, m + queries, rows_dq, dk.data);
    }
    score_gradient.end(m, {dk.data ? dk.data + k0 : nullptr, dk.add});
  });
}

}  // namespace gram::kernels
