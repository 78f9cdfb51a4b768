// SPDX-License-Identifier: MIT
// Attention whose map depends on the distance d of two pixels alone. With r = exp(log_radius) and the energy
//     e = d^2 / (2 r^2), p = 2 (Gaussian)      or      e = d / r, p = 1 (exponential),
// pixel i gives pixel j the weight exp(-e_ij), divided by the sum over its row i of the map A when that is
// normalised. Since de / d log_radius = -p e,
//     dA_ij / d log_radius = p A_ij (e_ij - sum_k A_ik e_ik),        without normalisation p A_ij e_ij.
// The Gaussian map of H x W pixels is the product of those of H x 1 and of 1 x W pixels, normalised or not:
// A v mixes rows, then columns, with H + W multiplications for each element instead of H W.
#pragma once
#include <cmath>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/cpu/packed.hpp"
#include "gram/kernels/explicit_attention.hpp"

namespace gram {

namespace cpu {

/// The rows of a map. exp is computed once for each distance.
class DistanceRows {
 public:
  DistanceRows(const DistanceMap& map, double log_radius)
      : map_(map), energies_(map.pixels()), weights_(map.pixels()) {
    const double scale = map.gaussian ? 0.5 * std::exp(-2 * log_radius) : std::exp(-log_radius);
    // A factor of all weights cancels in the normalisation: the nearest pixel has weight one, so that a small
    // radius does not divide zero by zero.
    const double nearest = map.normalize && !map.self ? 1 : 0;
    for (Index y = 0; y < map.H; ++y)
      for (Index x = 0; x < map.W; ++x) {
        const auto squared = static_cast<double>(y * y + x * x);
        energy_[y * map.W + x] = scale * ((map.gaussian ? squared : std::sqrt(squared)) - nearest);
        weight_[y * map.W + x] = std::exp(-energy_[y * map.W + x]);
      }
    if (!map.self) energy_[0] = weight_[0] = 0;
  }

  /// f(j, A_ij, dA_ij / d log_radius) for every pixel j.
  template <class F>
  void row(Index i, F&& f) const {
    double sum = 1, mean = 0;
    if (map_.normalize) {
      sum = 0;
      each(i, [&](Index, double energy, double weight) { sum += weight, mean += weight * energy; });
      mean /= sum;
    }
    const double power = map_.gaussian ? 2 : 1;
    each(i, [&](Index j, double energy, double weight) {
      f(j, weight / sum, power * weight / sum * (energy - mean));
    });
  }

 private:
  template <class F>
  void each(Index i, F&& f) const {
    const Index row = i / map_.W, column = i % map_.W;
    for (Index y = 0, j = 0; y < map_.H; ++y)
      for (Index x = 0; x < map_.W; ++x, ++j) {
        const Index at = std::abs(y - row) * map_.W + std::abs(x - column);
        f(j, energy_[at], weight_[at]);
      }
  }

  DistanceMap map_;
  Scratch<double> energies_, weights_;
  double *energy_ = energies_.data(), *weight_ = weights_.data();
};

/// The maps of all attention heads over one axis of n pixels, as matrices (n, n), each with its derivative
/// below it: (2 n, n); and the same with both transposed.
template <class T>
class AxisMaps {
 public:
  AxisMaps(Index n, bool normalize, Index heads, const T* log_radius)
      : size_(2 * n * n), tables_(2 * heads * size_) {
    for (Index h = 0; h < heads; ++h) {
      const DistanceRows rows({.H = 1, .W = n, .gaussian = true, .normalize = normalize, .self = true},
                              static_cast<double>(log_radius[h]));
      T *const plain = tables_.data() + 2 * h * size_, *const turned = plain + size_;
      for (Index i = 0; i < n; ++i)
        rows.row(i, [&](Index j, double weight, double slope) {
          plain[i * n + j] = turned[j * n + i] = static_cast<T>(weight);
          plain[(n + i) * n + j] = turned[(n + j) * n + i] = static_cast<T>(slope);
        });
    }
  }
  const T* plain(Index head) { return tables_.data() + 2 * head * size_; }
  const T* transposed(Index head) { return plain(head) + size_; }

 private:
  Index size_;
  Scratch<T> tables_;
};

}  // namespace cpu

namespace kernels {

/// For each row of pixels: y (m, width) = table (m, W) x (W, width). Pixels of x and y lie ldx and ldy apart.
template <class T>
void mix_in_rows(const GaussianAttentionShape& s, Index m, const T* table, const T* x, Index ldx, T* y,
                 Index ldy, bool add, T* scratch) {
  for (Index row = 0; row < s.H; ++row)
    cpu::gemm_serial({m, s.width, s.W}, table, s.W, false, x + row * s.W * ldx, ldx, false, y + row * m * ldy,
                     ldy, {.add = add}, scratch);
}
/// For each column of pixels: y (m, width) = table (m, H) x (H, width). Where channels of other heads do not
/// lie between, all columns are one.
template <class T>
void mix_in_columns(const GaussianAttentionShape& s, Index m, const T* table, const T* x, Index ldx, T* y,
                    Index ldy, T* scratch) {
  const bool whole = ldx == s.width && ldy == s.width;
  for (Index column = 0; column < (whole ? 1 : s.W); ++column)
    cpu::gemm_serial({m, whole ? s.W * s.width : s.width, s.H}, table, s.H, false, x + column * ldx,
                     s.W * ldx, false, y + column * ldy, s.W * ldy, {}, scratch);
}
/// <x, y>, as eight sums that fill vectors.
template <class T>
double inner_product(Index n, const T* x, const T* y) {
  T sums[8] = {};
  Index i = 0;
  for (; i + 8 <= n; i += 8)
    for (Index k = 0; k < 8; ++k) sums[k] += x[i + k] * y[i + k];
  for (; i < n; ++i) sums[i % 8] += x[i] * y[i];
  double total = 0;
  for (const T sum : sums) total += static_cast<double>(sum);
  return total;
}

/// y = A v for the Gaussian maps A of all heads; one (image, head) for each task.  v, y (N, H, W, C)
template <class T>
void gaussian_attention(Cpu, const GaussianAttentionShape& s, const T* log_radius, const T* v, T* y) {
  cpu::AxisMaps<T> along_h(s.H, s.normalize, s.heads, log_radius),
      along_w(s.W, s.normalize, s.heads, log_radius);
  const Index part = s.pixels() * s.width, C = s.channels();
  cpu::Layout at;
  const Index mixed = at.take(part), product = at.take((std::max)(s.H, s.W) * cpu::tile_table<T>().width);
  const cpu::ItemLoop loop(s.images * s.heads, part * (s.H + s.W));
  Scratch<T> scratch(loop.workers() * at.size);
  loop.run([&](Index item, int worker) {
    T* const memory = scratch.data() + worker * at.size;
    const Index head = item % s.heads, first = item / s.heads * s.pixels() * C + head * s.width;
    mix_in_rows(s, s.W, along_w.plain(head), v + first, C, memory + mixed, s.width, false, memory + product);
    mix_in_columns(s, s.H, along_h.plain(head), memory + mixed, s.width, y + first, C, memory + product);
  });
}

/// With A = A_h A_w: dv = A_w^T A_h^T dy and d log_radius = <A_h'^T dy, A_w v> + <A_h^T dy, A_w' v>.
template <class T>
void gaussian_attention_grad(Cpu, const GaussianAttentionShape& s, const T* log_radius, const T* v,
                             const T* dy, GradientSink<T> dv, GradientSink<T> dradius) {
  cpu::AxisMaps<T> along_h(s.H, s.normalize, s.heads, log_radius),
      along_w(s.W, s.normalize, s.heads, log_radius);
  const Index part = s.pixels() * s.width, row = s.W * s.width, C = s.channels();
  cpu::Layout at;
  const Index back = at.take(2 * part), ahead = at.take(2 * part);  // (2, H, W, width), (H, 2, W, width)
  const Index product = at.take((std::max)(s.H, s.W) * cpu::tile_table<T>().width);
  const cpu::ItemLoop loop(s.images * s.heads, 2 * part * (s.H + s.W));
  Scratch<T> scratch(loop.workers() * at.size);
  Scratch<double> shares(s.images * s.heads);
  loop.run([&](Index item, int worker) {
    T *const memory = scratch.data() + worker * at.size, *const b = memory + back, *const a = memory + ahead;
    const Index head = item % s.heads, first = item / s.heads * s.pixels() * C + head * s.width;
    mix_in_columns(s, dradius ? 2 * s.H : s.H, along_h.transposed(head), dy + first, C, b, s.width,
                   memory + product);
    if (dv)
      mix_in_rows(s, s.W, along_w.transposed(head), b, s.width, dv.data + first, C, dv.add, memory + product);
    if (!dradius) return;
    mix_in_rows(s, 2 * s.W, along_w.plain(head), v + first, C, a, s.width, false, memory + product);
    double share = 0;
    for (Index i = 0; i < s.H; ++i)
      share += inner_product(row, b + part + i * row, a + 2 * i * row) +
               inner_product(row, b + i * row, a + (2 * i + 1) * row);
    shares[item] = share;
  });
  for (Index head = 0; dradius && head < s.heads; ++head) {
    double sum = dradius.add ? static_cast<double>(dradius.data[head]) : 0;
    for (Index n = 0; n < s.images; ++n) sum += shares[n * s.heads + head];
    dradius.data[head] = static_cast<T>(sum);
  }
}

/// The maps of all heads, (heads, H W, H W).
template <class T>
void distance_maps(Cpu, const DistanceMap& m, Index heads, const T* log_radius, T* maps) {
  const Index L = m.pixels();
  for (Index head = 0; head < heads; ++head) {
    const cpu::DistanceRows rows(m, static_cast<double>(log_radius[head]));
    parallel_for(L, ceil_div(Index{1} << 14, L), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        rows.row(i, [to = maps + (head * L + i) * L](Index j, double weight, double) {
          to[j] = static_cast<T>(weight);
        });
    });
  }
}
template <class T>
void distance_maps_grad(Cpu, const DistanceMap& m, Index heads, const T* log_radius, const T* dmaps,
                        GradientSink<T> dradius) {
  const Index L = m.pixels();
  Scratch<double> shares(L);
  for (Index head = 0; head < heads; ++head) {
    const cpu::DistanceRows rows(m, static_cast<double>(log_radius[head]));
    parallel_for(L, ceil_div(Index{1} << 14, L), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        double share = 0;
        rows.row(i, [&, d = dmaps + (head * L + i) * L](Index j, double, double slope) {
          share += static_cast<double>(d[j]) * slope;
        });
        shares[i] = share;
      }
    });
    double sum = dradius.add ? static_cast<double>(dradius.data[head]) : 0;
    for (Index i = 0; i < L; ++i) sum += shares[i];
    dradius.data[head] = static_cast<T>(sum);
  }
}

}  // namespace kernels
}  // namespace gram
