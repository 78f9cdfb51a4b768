// SPDX-License-Identifier: MIT
// The small matrices of a norm that a 1x1 convolution takes in, row by row. Sums along a row are in double:
// the variance may be a difference of large terms.
#pragma once
#include <algorithm>
#include <cmath>

#include "gram/core/device.hpp"
#include "gram/core/parallel.hpp"
#include "gram/kernels/fold_norm.hpp"

namespace gram::kernels {
namespace detail {

/// The sum of f(k) over k < n, as four sums that the processor makes at once.
template <class F>
double fold_norm_sum(Index n, const F& f) {
  double sums[4] = {};
  Index k = 0;
  for (; k + 4 <= n; k += 4)
    for (Index i = 0; i < 4; ++i) sums[i] += f(k + i);
  for (; k < n; ++k) sums[0] += f(k);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}
/// Rows to a task.
inline Index fold_norm_grain(Index in) { return std::max<Index>(1, 4096 / std::max<Index>(in, 1)); }

}  // namespace detail

/// scaled (out, in) = s W, rounded to T, and shift (out) = beta - the mean that the product with it has.
template <class T>
void fold_norm(Cpu, const FoldNormArguments<accum_t<T>>& in, const FoldNormStatistics<accum_t<T>>& to,
               T* scaled, T* shift) {
  using A = accum_t<T>;
  parallel_for(in.out, detail::fold_norm_grain(in.in), [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      const A* const w = in.weight + c * in.in;
      const auto with = [](const auto* a, const A* b) {
        return
            [a, b](Index k) { return static_cast<double>(static_cast<A>(a[k])) * static_cast<double>(b[k]); };
      };
      if (in.spread) {
        const double square = detail::fold_norm_sum(in.in, with(w, in.spread + c * in.in));
        to.mean[c] = static_cast<A>(detail::fold_norm_sum(in.in, with(w, in.x_mean)));
        to.variance[c] = static_cast<A>(square < 0 ? 0.0 : square);  // NaN stays NaN
      }
      to.rstd[c] = static_cast<A>(1 / std::sqrt(static_cast<double>(to.variance[c]) + in.epsilon));
      to.scale[c] = in.gamma ? in.gamma[c] * to.rstd[c] : to.rstd[c];
      T* const s = scaled + c * in.in;
      for (Index k = 0; k < in.in; ++k) s[k] = static_cast<T>(w[k] * to.scale[c]);
      const double mean = in.spread ? detail::fold_norm_sum(in.in, with(s, in.x_mean))
                                    : static_cast<double>(to.mean[c]) * static_cast<double>(to.scale[c]);
      shift[c] = static_cast<T>(static_cast<A>((in.beta ? static_cast<double>(in.beta[c]) : 0.0) - mean));
    }
  });
}

/// The gradients of W and gamma, and the vectors that the gradient of x is made of.
template <class T>
void fold_norm_grad(Cpu, const FoldNormArguments<accum_t<T>>& in, const FoldNormStatistics<accum_t<T>>& of,
                    const FoldNormGradients<T>& out) {
  using A = accum_t<T>;
  parallel_for(in.out, detail::fold_norm_grain(in.in), [&](Index begin, Index end) {
    for (Index c = begin; c < end; ++c) {
      const A *const w = in.weight + c * in.in, *const p = out.products + c * in.in;
      const A sum = out.sums[c], rstd = of.rstd[c], scale = of.scale[c];
      const auto centered = [&](Index k) { return in.spread ? p[k] - sum * in.x_mean[k] : p[k]; };
      double dot = detail::fold_norm_sum(
          in.in, [&](Index k) { return static_cast<double>(w[k]) * static_cast<double>(centered(k)); });
      if (!in.spread) dot -= static_cast<double>(of.mean[c]) * static_cast<double>(sum);
      const A slope = static_cast<A>(dot) * rstd;
      if (out.dgamma) out.dgamma.data[c] = slope + (out.dgamma.add ? out.dgamma.data[c] : A(0));
      for (Index k = 0; out.dweight && k < in.in; ++k) {
        T& to = out.dweight.data[c * in.in + k];
        A q = centered(k);
        if (in.spread) q -= rstd * slope * in.spread[c * in.in + k];
        to = static_cast<T>(scale * q + (out.dweight.add ? static_cast<A>(to) : A(0)));
      }
      if (!out.pull) continue;
      const auto share = static_cast<A>(1 / static_cast<double>(out.rows)), d = -share * scale * rstd * slope;
      for (Index k = 0; k < in.in; ++k) out.pull[c * in.in + k] = d * w[k];
      out.push[c] = -(d * of.mean[c] + share * scale * sum);
    }
  });
}

}  // namespace gram::kernels
