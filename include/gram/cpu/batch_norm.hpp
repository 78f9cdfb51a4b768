// SPDX-License-Identifier: MIT
// Batch normalisation of x (rows, C): statistics of each column, their application, and both passes of the
// gradient.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/batch_norm_shared.hpp"
#include "gram/cpu/simd.hpp"
#include "gram/kernels/batch_norm.hpp"

namespace gram::cpu {

/// What the passes of the gradient read. The gradient g behind the ReLU is dy where the result was positive
/// and below the ceiling. That is seen from the result y, or from x again where the result is
/// (x - mean) scale + bias.
using kernels::BatchNormMask;
template <class T>
struct BatchNormFlow {
  BatchNormMask mask;
  accum_t<T> ceiling;
  const T *x, *y, *dy;

  BatchNormFlow from(Index at) const { return {mask, ceiling, x + at, y ? y + at : nullptr, dy + at}; }
};
/// Results outside are moved to the nearer bound; NaN stays NaN.
template <class A>
struct BatchNormRange {
  A low, high;
};
/// Of each column; the last two only in the second pass.
template <class A>
struct BatchNormCoefficients {
  const A *mean, *scale, *bias, *slope, *constant;
};

template <class T>
struct BatchNormTable {
  using A = accum_t<T>;
  void (*moments)(Index rows, Index columns, const T* x, A* out);
  void (*apply)(Index rows, Index columns, const T* x, const T* residual, const A* mean, const A* scale,
                const A* bias, BatchNormRange<A> range, bool past_caches, T* y);
  void (*grad_sums)(Index rows, Index columns, const BatchNormFlow<T>&, const BatchNormCoefficients<A>&, T* g,
                    A* out);
  void (*grad)(Index rows, Index columns, const BatchNormFlow<T>&, const BatchNormCoefficients<A>&,
               GradientSink<T> dx, GradientSink<T> dr);
};
template <class T>
const BatchNormTable<T>& batch_norm_table();

/// How a (rows, channels) matrix is cut into work. With few channels, `group` rows are taken as one wide row:
/// then vectors are full for any number of channels and several independent sums are in flight. Rows that do
/// not fill a wide row are a piece of their own, the last.
struct RowPieces {
  static constexpr Index elements = Index{1} << 15;  ///< of a piece: it stays in the L2 cache

  RowPieces(Index rows, Index channel_count) : channels(channel_count) {
    if (channels > 0 && channels < 256) {
      const Index full = 16 / std::gcd(channels, Index{16});  // 16: the widest vector
      group = full * std::max<Index>(1, 64 / (channels * full));
    }
    if (rows < group) group = 1;
    wide = group * channels;
    wide_rows = rows / group;
    rest = rows % group;
    per_piece = std::max<Index>(64, elements / std::max<Index>(1, wide));
    full_pieces = ceil_div(wide_rows, per_piece);
  }

  struct Piece {
    Index offset, rows, columns;
  };
  Index count() const { return full_pieces + (rest > 0); }
  Piece operator[](Index i) const {
    if (i == full_pieces) return {wide_rows * wide, rest, channels};
    return {i * per_piece * wide, std::min(per_piece, wide_rows - i * per_piece), wide};
  }

  /// f(rows, columns, p) for every row of channels among the results of the pieces, in order: of `arrays` x
  /// columns partial results of a piece, p points at that row in the first array.
  template <class A, class F>
  void for_each_row(const A* partial, Index arrays, F&& f) const {
    for (Index i = 0; i < count(); ++i) {
      const Piece piece = (*this)[i];
      for (Index at = 0; at < piece.columns; at += channels)
        f(static_cast<double>(piece.rows), piece.columns, partial + i * arrays * wide + at);
    }
  }
  /// Repeats the channels of (arrays, wide) coefficients until wide rows are full.
  template <class A>
  void widen(A* values, Index arrays) const {
    for (Index a = 0; a < arrays; ++a, values += wide)
      for (Index i = channels; i < wide; ++i) values[i] = values[i - channels];
  }

  Index channels, group = 1, wide, wide_rows, rest, per_piece, full_pieces;
};

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/batch_norm.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::BatchNormTable<T>& gram::cpu::batch_norm_table() {
  return GRAM_SELECT(batch_norm_kernels<T>);
}
#endif

namespace gram::kernels {

/// Mean and biased variance of each column of x (rows, channels), rows >= 1. The sums of a piece are made in
/// accum_t<T> around a shift of its own and combined in double in the order of the pieces: a large mean costs
/// no digits.
template <class T>
void batch_norm_statistics(Cpu, const T* x, Index rows, Index channels, accum_t<T>* mean,
                           accum_t<T>* variance) {
  using A = accum_t<T>;
  const cpu::RowPieces pieces(rows, channels);
  const auto& table = cpu::batch_norm_table<T>();
  Scratch<A> partial(pieces.count() * 3 * pieces.wide);
  parallel_blocks(pieces.count(), [&](Index i, int) {
    const auto [offset, n, columns] = pieces[i];
    table.moments(n, columns, x + offset, &partial[i * 3 * pieces.wide]);
  });
  Scratch<double> mu(channels), m2(channels);
  parallel_for(channels, 64, [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) mu[c] = m2[c] = 0;
    // p: shift k, sum (x - k), sum (x - k)^2, `columns` apart
    pieces.for_each_row(partial.data(), 3, [&](double n, Index columns, const A* p) {
      for (Index c = begin; c < end; ++c)
        mu[c] += n * static_cast<double>(p[c]) + static_cast<double>(p[columns + c]);
    });
    for (Index c = begin; c < end; ++c) mu[c] /= static_cast<double>(rows);
    pieces.for_each_row(partial.data(), 3, [&](double n, Index columns, const A* p) {
      for (Index c = begin; c < end;
           ++c) {  // sum (x - mu)^2 = sum (x - k)^2 + 2 d sum (x - k) + n d^2, d = k - mu
        const double d = static_cast<double>(p[c]) - mu[c], sum = p[columns + c],
                     squares = p[2 * columns + c];
        m2[c] += squares + d * (2 * sum + n * d);
      }
    });
    for (Index c = begin; c < end; ++c) {
      mean[c] = static_cast<A>(mu[c]);
      variance[c] = static_cast<A>(m2[c] < 0 ? 0 : m2[c] / static_cast<double>(rows));
    }
  });
}

/// running = (1 - momentum) running + momentum batch; the variance of the batch made unbiased.
template <class A>
void batch_norm_running(Cpu, const A* mean, const A* variance, BatchNormRows rows, Index channels,
                        double momentum, A* running_mean, A* running_var) {
  const double unbiased = static_cast<double>(rows.number) / static_cast<double>(rows.number - 1);
  for (Index c = 0; c < channels; ++c) {
    running_mean[c] = static_cast<A>((1 - momentum) * running_mean[c] + momentum * mean[c]);
    running_var[c] = static_cast<A>((1 - momentum) * running_var[c] + momentum * unbiased * variance[c]);
  }
}

}  // namespace gram::kernels

namespace gram::cpu {

/// The normalisation as (x - mean) scale + bias: the same bits in the forward pass and in the gradient, which
/// asks again whether that is positive.
template <class T>
void batch_norm_coefficients(const kernels::BatchNormArguments<T>& in, accum_t<T>* mean, accum_t<T>* scale,
                             accum_t<T>* bias) {
  using A = accum_t<T>;
  for (Index c = 0; c < in.channels; ++c) {
    mean[c] = in.mean[c];
    scale[c] = static_cast<A>((in.weight ? in.weight[c] : 1.0) / std::sqrt(in.variance[c] + in.epsilon));
    bias[c] = in.bias ? in.bias[c] : A(0);
  }
}

}  // namespace gram::cpu

namespace gram::kernels {

/// y = [relu]((x - mean) / sqrt(variance + epsilon) weight + bias [+ residual]), with the ReLU not above the
/// ceiling
template <class T>
void batch_norm_apply(Cpu, const BatchNormArguments<T>& in, const T* residual, bool relu, T* y,
                      double ceiling = std::numeric_limits<double>::infinity()) {
  using A = accum_t<T>;
  constexpr A infinity = std::numeric_limits<A>::infinity();
  const cpu::BatchNormRange<A> range{relu ? A(0) : -infinity, relu ? static_cast<A>(ceiling) : infinity};
  const cpu::RowPieces pieces(in.rows, in.channels);
  Scratch<A> coefficients(3 * pieces.wide);
  A *const mean = coefficients.data(), *const scale = mean + pieces.wide, *const bias = scale + pieces.wide;
  cpu::batch_norm_coefficients(in, mean, scale, bias);
  pieces.widen(mean, 3);
  const auto& table = cpu::batch_norm_table<T>();
  // Of a map that fills the L3 cache of a few cores nothing is left there for the next operation to find.
  const bool past_caches = in.rows * in.channels * Index{sizeof(T)} >= Index{20} << 20;
  parallel_blocks(pieces.count(), [&](Index i, int) {
    const auto [at, n, columns] = pieces[i];
    table.apply(n, columns, in.x + at, residual ? residual + at : nullptr, mean, scale, bias, range,
                past_caches, y + at);
  });
}

/// With g = dy where the ReLU let it through, h = (x - mean) / s and s^2 = variance + epsilon:
/// dbias = sum g, dweight = sum g h, dx = weight / s (g - mean g - h mean(g h)) in training, weight / s g
/// otherwise. Two passes over the maps, limited by memory: the second walks backwards, so that it starts with
/// what the caches still hold, and reads g where the first has already written it as dresidual.
template <class T>
void batch_norm_grad(Cpu, const BatchNormArguments<T>& in, const BatchNormGradients<T>& out) {
  using A = accum_t<T>;
  const cpu::RowPieces pieces(in.rows, in.channels);
  const auto& table = cpu::batch_norm_table<T>();
  Scratch<A> coefficients(5 * pieces.wide);
  A *const mean = coefficients.data(), *const scale = mean + pieces.wide, *const bias = scale + pieces.wide,
           *const slope = bias + pieces.wide, *const constant = slope + pieces.wide;
  const cpu::BatchNormCoefficients<A> columns_of{mean, scale, bias, slope, constant};
  cpu::batch_norm_coefficients(in, mean, scale, bias);
  pieces.widen(mean, 3);
  cpu::BatchNormFlow<T> flow{out.mask, static_cast<A>(out.ceiling), in.x, out.y, out.dy};
  GradientSink<T> dresidual = out.dresidual;
  Scratch<double> sum(in.channels), products(in.channels);  // of g, and of g and x - mean
  for (Index c = 0; c < in.channels; ++c) sum[c] = products[c] = 0;
  if (out.dweight || out.dbias || (out.dx && out.training)) {
    T* const g = dresidual && !dresidual.add ? dresidual.data : nullptr;
    Scratch<A> partial(pieces.count() * 2 * pieces.wide);
    parallel_blocks(pieces.count(), [&](Index i, int) {
      const auto [at, n, columns] = pieces[i];
      table.grad_sums(n, columns, flow.from(at), columns_of, g ? g + at : nullptr,
                      &partial[i * 2 * pieces.wide]);
    });
    pieces.for_each_row(partial.data(), 2, [&](double, Index columns, const A* p) {
      for (Index c = 0; c < in.channels; ++c) sum[c] += p[c], products[c] += p[columns + c];
    });
    if (g) flow = {kernels::BatchNormMask::none, flow.ceiling, in.x, nullptr, g}, dresidual = {};
  }
  for (Index c = 0; c < in.channels; ++c) {
    const double rstd = 1 / std::sqrt(in.variance[c] + in.epsilon);
    if (out.dweight)
      out.dweight.data[c] =
          static_cast<A>(products[c] * rstd + (out.dweight.add ? out.dweight.data[c] : A(0)));
    if (out.dbias) out.dbias.data[c] = static_cast<A>(sum[c] + (out.dbias.add ? out.dbias.data[c] : A(0)));
  }
  if (out.communicator && out.dx && out.training)
    batch_norm_combine_sums(Cpu{}, *out.communicator, in.channels, sum.data(), products.data());
  for (Index c = 0; c < in.channels; ++c) {
    const double rstd = 1 / std::sqrt(in.variance[c] + in.epsilon);
    const double s = rstd * (in.weight ? in.weight[c] : 1.0);
    const double n = static_cast<double>(out.communicator ? out.total_rows.number : in.rows);
    slope[c] = static_cast<A>(out.training ? -s * rstd * rstd * products[c] / n : 0.0);
    constant[c] = static_cast<A>(out.training ? -s * sum[c] / n : 0.0);
  }
  if (!out.dx && !dresidual) return;
  pieces.widen(slope, 2);
  const auto from = [](GradientSink<T> sink, Index at) {
    return GradientSink<T>{sink ? sink.data + at : nullptr, sink.add};
  };
  parallel_blocks(pieces.count(), [&](Index i, int) {
    const auto [at, n, columns] = pieces[pieces.count() - 1 - i];
    table.grad(n, columns, flow.from(at), columns_of, from(out.dx, at), from(dresidual, at));
  });
}

}  // namespace gram::kernels
