// SPDX-License-Identifier: MIT
// The weight gradient of a 3x3 convolution in Winograd's domain. Every step of the forward pass is linear, so
// its transpose runs the other way:
//
//   x    ->  V[p] = B^T x B     (tiles, C)
//   dy   ->  Z[p] = A dy A^T    (tiles, O)       dU[p] = Z[p]^T V[p],  (m + 2)^2 sums over all tiles
//                                                dw    = G^T dU G
//
// Where the sums of all products fit the L2 cache (up to 64 or 128 channels), the tiles are cut into parts
// with sums of their own: a task transforms a few tiles at a time and adds their products while they are in
// the cache; the parts are added in order. With more channels the sums would pass through the cache again and
// again. There all tiles that some megabytes hold are transformed first, and each task takes products for
// itself.
#pragma once
#include "gram/cpu/winograd.hpp"

namespace gram::cpu {

/// The steps of a weight gradient over matrices V and Z with room for `room` tiles.
template <class T>
struct WinogradWeightSteps {
  const WinogradPlan& plan;
  const T* x;
  const T* dy;
  Index room;

  const WinogradTransforms<T>& transforms = plan.template transforms<T>();
  WinogradGrid x_grid = plan.x_grid(), y_grid = plan.y_grid();
  Index products = plan.products(), o = plan.shape.o;
  Index in = round_up(plan.shape.c, tile_table<T>().lanes), out = round_up(o, tile_table<T>().lanes);
  Index v_plane = winograd_plane<T>(room, in), z_plane = winograd_plane<T>(room, out);
  Index sum_plane = winograd_plane<T>(o, in);

  /// Elements of V and Z, and of the sums.
  Index maps_size() const { return products * (v_plane + z_plane); }
  Index sums_size() const { return products * sum_plane; }
  WinogradPlanes<T> v(T* maps) const { return {maps, v_plane, in}; }
  WinogradPlanes<T> z(T* maps) const { return {maps + products * v_plane, z_plane, out}; }

  /// Tiles first .. first + count - 1 become rows from `row` on.
  void transform(Index first, Index count, T* maps, Index row) const {
    transforms.input(x_grid, first, count, x, v(maps).from_row(row));
    transforms.gradient(y_grid, first, count, dy, z(maps).from_row(row));
  }
  /// Outputs i .. i + rows - 1 of sum p (+)= Z^T V over `count` tiles.
  void multiply(Index p, Index i, Index rows, Index count, T* maps, T* sums, bool add, T* scratch) const {
    gemm_outer<T>({rows, in, count}, z(maps).data + p * z_plane + i, out, {v(maps).data + p * v_plane, in, 1},
                  sums + p * sum_plane + i * in, in, {.add = add}, scratch);
  }
};

/// Sums over parts of the tiles, each in one task, added up in `sums`: steps.sums_size() elements for each
/// part, of which the first are the result.
template <class T>
void winograd_sum_by_parts(const WinogradWeightSteps<T>& steps, Index parts, T* sums) {
  const Index tiles = steps.plan.tiles(), size = round_up(steps.maps_size(), 16);
  const Index task_size = size + round_up(gemm_outer_scratch<T>(), 16);
  Scratch<T> scratch(workers(parts) * task_size);
  parallel_blocks(parts, [&](Index part, int worker) {
    const Index begin = part * tiles / parts, end = (part + 1) * tiles / parts;
    T* const maps = scratch.data() + worker * task_size;
    for (Index first = begin; first < end; first += steps.room) {
      const Index count = std::min(steps.room, end - first);
      steps.transform(first, count, maps, 0);
      for (Index p = 0; p < steps.products; ++p) {
        const Index next = first + count, last = std::min(next + steps.room, end);
        winograd_prefetch<0>(steps.plan, steps.x_grid, next, last, p, steps.products, steps.x);
        winograd_prefetch<0>(steps.plan, steps.y_grid, next, last, p, steps.products, steps.dy);
        steps.multiply(p, 0, steps.o, count, maps, sums + part * steps.sums_size(), first > begin,
                       maps + size);
      }
    }
  });
  const auto& tile = tile_table<T>();
  if (parts > 1)
    parallel_for(steps.sums_size(), 4096, [&](Index begin, Index end) {
      tile.reduce(parts, sums + begin, steps.sums_size(), sums + begin, end - begin, {});
    });
}

/// Sums over all tiles, a block of one product in each task.
template <class T>
void winograd_sum_by_products(const WinogradWeightSteps<T>& steps, T* sums) {
  const Index tiles = steps.plan.tiles(), rows = 384, cuts = ceil_div(steps.o, rows);
  const Index blocks = steps.products * cuts, scratch_size = gemm_outer_scratch<T>();
  Scratch<T> maps(steps.maps_size()), scratch(workers(blocks) * scratch_size);
  for (Index first = 0; first < tiles; first += steps.room) {
    const Index count = std::min(steps.room, tiles - first);
    parallel_for(count, 4, [&](Index begin, Index end) {
      steps.transform(first + begin, end - begin, maps.data(), begin);
    });
    parallel_blocks(blocks, [&](Index block, int worker) {
      const Index i = block % cuts * rows;
      steps.multiply(block / cuts, i, std::min(rows, steps.o - i), count, maps.data(), sums, first > 0,
                     scratch.data() + worker * scratch_size);
    });
  }
}

/// dw (+)= the weight gradient. The shape has at least one tile.
template <class T>
void winograd_grad_weight(const WinogradPlan& plan, const T* x, const T* dy, T* dw, bool add) {
  constexpr Index kilobyte = 1024 / sizeof(T);
  const Index c = plan.shape.c, o = plan.shape.o, tiles = plan.tiles();
  const Index row = plan.products() * (round_up(c, 16) + round_up(o, 16)), sum = plan.products() * c * o;
  const bool by_parts = sum <= 1280 * kilobyte;
  const Index fitting = (by_parts ? 512 : 8192) * kilobyte / row;
  const Index parts = by_parts ? std::clamp<Index>(std::min(4096 * kilobyte / sum, tiles / 32), 1, 16) : 1;
  const Index most = ceil_div(tiles, parts), rounds = ceil_div(most, std::max<Index>(fitting, 8));
  const WinogradWeightSteps<T> steps{plan, x, dy, ceil_div(most, rounds)};
  Scratch<T> sums(parts * steps.sums_size());
  if (by_parts)
    winograd_sum_by_parts(steps, parts, sums.data());
  else
    winograd_sum_by_products(steps, sums.data());
  const WinogradPlanes<const T> total{sums.data(), steps.sum_plane, steps.in};
  parallel_for(o, ceil_div(1024, c), [&](Index begin, Index end) {
    steps.transforms.weight_gradient(end - begin, c, total.from_row(begin), {dw + begin * 9 * c, 9 * c, c},
                                     add);
  });
}

}  // namespace gram::cpu
