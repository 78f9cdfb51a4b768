// SPDX-License-Identifier: MIT
// Attention by distance; cpu/explicit_attention.hpp has the formulas. A Gaussian map is applied along the
// columns and then along the rows of pixels, each as a product with a small table that a kernel fills in.
#pragma once
#include <cmath>

#include "gram/cuda/columns.cuh"
#include "gram/cuda/explicit_attention.hpp"

namespace gram::cuda {

/// One row of a map of distances, made by a warp: weights and their derivatives with respect to log_radius.
class DistanceRow {
 public:
  GRAM_DEVICE DistanceRow(const DistanceMap& map, double log_radius, Index pixel)
      : map_(map),
        pixel_(pixel),
        scale_(map.gaussian ? 0.5 * std::exp(-2 * log_radius) : std::exp(-log_radius)) {}
  /// Sums for the normalisation; all lanes must take part.
  GRAM_DEVICE void normalize(unsigned lane) {
    if (!map_.normalize) return;
    double sum = 0, mean = 0;
    for (Index j = lane; j < map_.pixels(); j += warp_size) {
      const double e = energy(j), w = weight(j, e);
      sum += w, mean += w * e;
    }
    sum_ = warp_sum(sum);
    mean_ = warp_sum(mean) / sum_;
  }
  GRAM_DEVICE double operator()(Index j) const { return weight(j, energy(j)) / sum_; }
  GRAM_DEVICE double slope(Index j) const {
    const double e = energy(j);
    return (map_.gaussian ? 2 : 1) * weight(j, e) / sum_ * (e - mean_);
  }

 private:
  GRAM_DEVICE bool unseen(Index j) const { return j == pixel_ && !map_.self; }
  /// Without the pixel itself, the nearest one has energy zero: see cpu::DistanceRows.
  GRAM_DEVICE double energy(Index j) const {
    if (unseen(j)) return 0;
    const Index y = j / map_.W - pixel_ / map_.W, x = j % map_.W - pixel_ % map_.W;
    const auto squared = static_cast<double>(y * y + x * x);
    const double nearest = map_.normalize && !map_.self ? 1 : 0;
    return scale_ * ((map_.gaussian ? squared : std::sqrt(squared)) - nearest);
  }
  GRAM_DEVICE double weight(Index j, double energy) const { return unseen(j) ? 0 : std::exp(-energy); }

  DistanceMap map_;
  Index pixel_;
  double scale_, sum_ = 1, mean_ = 0;
};

inline constexpr int block_warps = block_threads / warp_size;
inline dim3 warp_blocks(Index warps) { return static_cast<unsigned>(ceil_div(warps, Index{block_warps})); }
/// The number of this warp in the grid.
GRAM_DEVICE Index warp_number() {
  return static_cast<Index>(blockIdx.x) * block_warps + threadIdx.x / warp_size;
}

/// maps (rows, H W) with rows of all heads, and their slopes unless null.
template <class R, class T>
__global__ void __launch_bounds__(block_threads)
    distance_maps_kernel(DistanceMap map, Index rows, const R* log_radius, T* maps, T* slopes) {
  const Index L = map.pixels(), at = warp_number();
  const unsigned lane = threadIdx.x % warp_size;
  if (at >= rows) return;
  DistanceRow row(map, static_cast<double>(log_radius[at / L]), at % L);
  row.normalize(lane);
  for (Index j = lane; j < L; j += warp_size) {
    maps[at * L + j] = narrow<T>(static_cast<accum_t<T>>(row(j)));
    if (slopes) slopes[at * L + j] = narrow<T>(static_cast<accum_t<T>>(row.slope(j)));
  }
}
template <class R, class T>
void fill_distance_maps(Cuda device, const DistanceMap& map, Index heads, const R* log_radius, T* maps,
                        T* slopes) {
  const Index rows = heads * map.pixels();
  launch(device, distance_maps_kernel<R, T>, warp_blocks(rows), block_threads, 0, map, rows, log_radius, maps,
         slopes);
}
template <class T>
void distance_maps(Cuda device, const DistanceMap& map, Index heads, const T* log_radius, T* maps) {
  fill_distance_maps<T, T>(device, map, heads, log_radius, maps, nullptr);
}

/// Adds up the shares (heads, count) of every head; a block for each.
template <class T>
__global__ void __launch_bounds__(block_threads)
    radius_grad_kernel(const double* shares, Index count, GradientSink<T> dradius) {
  __shared__ double scratch[warp_size];
  double sum = 0;
  for (Index i = threadIdx.x; i < count; i += blockDim.x) sum += shares[blockIdx.x * count + i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x) return;
  T& to = dradius.data[blockIdx.x];
  to = narrow<T>(static_cast<accum_t<T>>(sum + (dradius.add ? static_cast<double>(wide(to)) : 0)));
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    distance_maps_grad_kernel(DistanceMap map, Index rows, const T* log_radius, const T* dmaps,
                              double* shares) {
  const Index L = map.pixels(), at = warp_number();
  const unsigned lane = threadIdx.x % warp_size;
  if (at >= rows) return;
  DistanceRow row(map, static_cast<double>(log_radius[at / L]), at % L);
  row.normalize(lane);
  double share = 0;
  for (Index j = lane; j < L; j += warp_size) share += static_cast<double>(dmaps[at * L + j]) * row.slope(j);
  share = warp_sum(share);
  if (lane == 0) shares[at] = share;
}
template <class T>
void distance_maps_grad(Cuda device, const DistanceMap& map, Index heads, const T* log_radius, const T* dmaps,
                        GradientSink<T> dradius) {
  const Index L = map.pixels();
  DeviceScratch<double> shares(device, heads * L);
  launch(device, distance_maps_grad_kernel<T>, warp_blocks(heads * L), block_threads, 0, map, heads * L,
         log_radius, dmaps, shares.data());
  launch(device, radius_grad_kernel<T>, static_cast<unsigned>(heads), block_threads, 0, shares.data(), L,
         dradius);
}

/// y[i] = sum over j of table[i, j] x[j] along an axis of n positions (of table[j, i] when transposed), with
/// a table (heads, n, n) for each head. x, y (outer, n, inner) with channels (heads, width) innermost. A
/// thread makes V channels of eight positions.
struct MixAxis {
  Index outer, n, inner, channels, width;
  bool transposed;
};
inline constexpr int mixed_positions = 8;
template <int V, class From, class To>
__global__ void __launch_bounds__(block_threads)
    mix_axis_kernel(MixAxis s, const accum_t<To>* tables, const From* x, GradientSink<To> y) {
  using A = accum_t<To>;
  const Index bands = ceil_div(s.n, Index{mixed_positions}), items = s.outer * bands * s.inner / V;
  for (Index item = first_item(); item < items; item += item_step()) {
    const MapPlace<V> at(item, 1, bands, s.inner);
    const Index first = at.j * mixed_positions, origin = at.n * s.n * s.inner + at.c;
    const A* const table = tables + at.c % s.channels / s.width * s.n * s.n;
    A total[mixed_positions][V] = {};
    for (Index j = 0; j < s.n; ++j) {
      const auto in = load_pack<V>(x + origin + j * s.inner);
      for (int k = 0; k < mixed_positions; ++k) {
        const Index i = first + k;
        if (i >= s.n) break;
        const A weight = table[s.transposed ? j * s.n + i : i * s.n + j];
        for (int v = 0; v < V; ++v) total[k][v] = std::fma(weight, wide(in.value[v]), total[k][v]);
      }
    }
    for (int k = 0; k < mixed_positions; ++k) {
      if (first + k >= s.n) break;
      To* const to = y.data + origin + (first + k) * s.inner;
      Pack<To, V> out{};
      if (y.add) out = load_pack<V>(to);
      for (int v = 0; v < V; ++v)
        out.value[v] = narrow<To>(y.add ? wide(out.value[v]) + total[k][v] : total[k][v]);
      store_pack(to, out);
    }
  }
}

/// Mixes pixels of a column of the image, along its rows, or of a row, along its columns.
enum class MapAxis { rows, columns };

/// The maps of all heads along both axes, and products with them.
template <class T>
class GaussianMaps {
 public:
  using A = accum_t<T>;

  GaussianMaps(Cuda device, const kernels::GaussianAttentionShape& s, const T* log_radius)
      : device_(device),
        s_(s),
        size_h_(s.heads * s.H * s.H),
        size_w_(s.heads * s.W * s.W),
        tables_(device, 2 * (size_h_ + size_w_)) {
    const auto fill = [&](Index n, A* maps, Index size) {
      fill_distance_maps(device, {.H = 1, .W = n, .gaussian = true, .normalize = s.normalize, .self = true},
                         s.heads, log_radius, maps, maps + size);
    };
    fill(s.H, tables_.data(), size_h_);
    fill(s.W, tables_.data() + 2 * size_h_, size_w_);
  }

  template <class From, class To>
  void mix(MapAxis axis, bool slope, bool transposed, const From* x, GradientSink<To> y) {
    const bool down = axis == MapAxis::rows;
    const Index C = s_.channels();
    const MixAxis shape = {down ? s_.images : s_.images * s_.H,
                           down ? s_.H : s_.W,
                           down ? s_.W * C : C,
                           C,
                           s_.width,
                           transposed};
    const A* const table = tables_.data() + (down ? slope * size_h_ : 2 * size_h_ + slope * size_w_);
    constexpr int V = std::min(pack_size<From>, pack_size<To>);
    const bool packs = rows_of_packs<V>(s_.width, x, y.data);
    const Index items =
        shape.outer * ceil_div(shape.n, Index{mixed_positions}) * shape.inner / (packs ? V : 1);
    launch(device_, packs ? mix_axis_kernel<V, From, To> : mix_axis_kernel<1, From, To>, grid_blocks(items),
           block_threads, 0, shape, table, x, y);
  }

 private:
  Cuda device_;
  kernels::GaussianAttentionShape s_;
  Index size_h_, size_w_;
  DeviceScratch<A> tables_;
};

/// y = A v.  v, y (N, H, W, C)
template <class T>
void gaussian_attention(Cuda device, const kernels::GaussianAttentionShape& s, const T* log_radius,
                        const T* v, T* y) {
  GaussianMaps<T> maps(device, s, log_radius);
  DeviceScratch<accum_t<T>> mixed(device, s.images * s.pixels() * s.channels());
  maps.mix(MapAxis::columns, false, false, v, GradientSink<accum_t<T>>{mixed.data()});
  maps.mix(MapAxis::rows, false, false, static_cast<const accum_t<T>*>(mixed.data()), GradientSink<T>{y});
}

/// shares (heads, blocks): parts of <a, b> + <c, d> over the channels of each head.
template <class A>
__global__ void __launch_bounds__(block_threads)
    radius_shares_kernel(Index pixels, Index channels, Index width, const A* a, const A* b, const A* c,
                         const A* d, double* shares) {
  __shared__ double scratch[warp_size];
  double share = 0;
  for (Index i = first_item(); i < pixels * width; i += item_step()) {
    const Index pixel = MapPlace<1>::quotient(i, width),
                at = pixel * channels + blockIdx.y * width + i - pixel * width;
    share += static_cast<double>(a[at] * b[at] + c[at] * d[at]);
  }
  share = block_sum(share, scratch);
  if (threadIdx.x == 0) shares[static_cast<Index>(blockIdx.y) * gridDim.x + blockIdx.x] = share;
}

/// With A = A_h A_w: dv = A_w^T A_h^T dy and d log_radius = <A_h'^T dy, A_w v> + <A_h^T dy, A_w' v>.
template <class T>
void gaussian_attention_grad(Cuda device, const kernels::GaussianAttentionShape& s, const T* log_radius,
                             const T* v, const T* dy, GradientSink<T> dv, GradientSink<T> dradius) {
  using A = accum_t<T>;
  using enum MapAxis;
  GaussianMaps<T> maps(device, s, log_radius);
  const Index size = s.images * s.pixels() * s.channels();
  DeviceScratch<A> scratch(device, (dradius ? 4 : 1) * size);
  A* const back = scratch.data();
  maps.mix(rows, false, true, dy, GradientSink<A>{back});
  if (dv) maps.mix(columns, false, true, static_cast<const A*>(back), dv);
  if (!dradius) return;
  A *const back_slope = back + size, *const ahead = back + 2 * size, *const ahead_slope = back + 3 * size;
  maps.mix(rows, true, true, dy, GradientSink<A>{back_slope});
  maps.mix(columns, false, false, v, GradientSink<A>{ahead});
  maps.mix(columns, true, false, v, GradientSink<A>{ahead_slope});
  const Index pixels = s.images * s.pixels();
  const auto blocks = static_cast<unsigned>(std::min<Index>(64, ceil_div(pixels * s.width, block_threads)));
  DeviceScratch<double> shares(device, s.heads * blocks);
  launch(device, radius_shares_kernel<A>, dim3(blocks, static_cast<unsigned>(s.heads)), block_threads, 0,
         pixels, s.channels(), s.width, back_slope, ahead, back, ahead_slope, shares.data());
  launch(device, radius_grad_kernel<T>, static_cast<unsigned>(s.heads), block_threads, 0, shares.data(),
         Index{blocks}, dradius);
}

template <class T>
void fill_in_explicit_attention_tables() {
  explicit_attention_table<T> = {gaussian_attention<T>, gaussian_attention_grad<T>, distance_maps<T>,
                                 distance_maps_grad<T>};
}

}  // namespace gram::cuda
