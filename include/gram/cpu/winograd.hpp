// SPDX-License-Identifier: MIT
// 3x3 convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering F(m x m, 3 x 3), m =
// 2 or 4 (Lavin and Gray, arXiv:1509.09308).
//
// m outputs of a kernel of three taps are coefficients of a product of polynomials. Polynomials evaluated at
// m + 2 points multiply point by point, and the values give the coefficients back: m + 2 multiplications
// instead of 3 m. Along both axes that is 4 instead of 9 for each output (m = 2), or 2.25 (m = 4). Sums over
// channels are taken between the transforms, so what is left are (m + 2)^2 matrix products:
//
//   x       squares of side m + 2,  B^T x B      ->  V[p] (tiles, C)
//   weight  3 x 3 taps,             G w G^T      ->  U[p] (C, O), packed; once for all tiles
//                                                    M[p] = V[p] U[p],  p < (m + 2)^2
//   y       m x m pixels,           A^T M A      <-  M[p] (tiles, O), with bias, residual and relu
//
// The transforms run along channels, a vector at a time, and cost about as much as 20 (C + O) further
// multiplications for each tile and product. A task takes 12 tiles from x to y: two rounds of the
// micro-kernel, while V and M stay in the L2 cache and U streams through.
//
// Accuracy. The points are 0, infinity and +-1 (m = 2), or +-sqrt(1/2) and +-sqrt(2) (m = 4): with the usual
// +-1 and +-2 the error is four to five times as large. Largest errors against double, inputs and dy of unit
// variance, weights that keep it:
//                                             direct   F(2x2)   F(4x4)
//   y and dx, absolute, 64 channels            5e-6     2e-6     8e-6
//                      256 channels            9e-6     3e-6     1.3e-5
//   dw, relative to its largest element        4e-7     5e-7     1.5e-6
// An infinite or NaN input can spoil all outputs of the tiles that look at it, not only the nine that it
// spoils in the direct form.
#pragma once
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/packed.hpp"
#include "gram/cpu/winograd_plan.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram::cpu {

/// Distance between matrices of `rows` rows: an odd number of cache lines, for streams a multiple of 4 KB
/// apart would share one set of the cache.
template <class T>
Index winograd_plane(Index rows, Index row) {
  constexpr Index line = 64 / sizeof(T);
  return (ceil_div(rows * row, line) | 1) * line;
}

/// Elements of the transformed weights. They belong to a tile size and to the instruction set in use, but to
/// no batch: who keeps them computes other batches with WinogradPlan{shape, tile}.
template <class T>
Index winograd_weights_size(const WinogradPlan& plan) {
  return plan.products() * tile_table<T>().packed_size(plan.shape.c, plan.shape.o);
}

/// What weights belong to: the convolution itself, (O, 3, 3, C), or the one that it is the input gradient of,
/// (C, 3, 3, O), with its taps in reverse.
enum class WinogradKernel { forward, flipped };

/// u = the transformed weights: a packed matrix (C, O) for each product.
template <class T>
void winograd_pack(const WinogradPlan& plan, WinogradKernel kernel, const T* weight, T* u) {
  constexpr Index chunk = 32;
  const auto& tile = tile_table<T>();
  const Index c = plan.shape.c, o = plan.shape.o, size = tile.packed_size(c, o);
  const bool flipped = kernel == WinogradKernel::flipped;
  const Index row = flipped ? tile.width : chunk, rows = flipped ? chunk : tile.width;
  const Index plane = winograd_plane<T>(rows, row);
  const Index panels = ceil_div(o, tile.width), chunks = ceil_div(c, chunk), blocks = panels * chunks;
  Scratch<T> scratch(workers(blocks) * plan.products() * plane);
  parallel_blocks(blocks, [&](Index block, int worker) {
    const Index p = block / chunks * tile.width, columns = std::min(tile.width, o - p);
    const Index first = block % chunks * chunk, count = std::min(chunk, c - first);
    const WinogradPlanes<T> planes{scratch.data() + worker * plan.products() * plane, plane, row};
    const auto& transform = plan.transforms<T>().weight;
    if (flipped)
      transform(count, columns, {weight + (first * 9 + 8) * o + p, 9 * o, -o}, planes);
    else
      transform(columns, count, {weight + p * 9 * c + first, 9 * c, c}, planes);
    for (Index e = 0; e < plan.products(); ++e)
      tile.pack(first, count, c, columns, planes.data + e * plane, flipped ? row : 1, flipped ? 1 : row,
                u + e * size + p * c);
  });
}

/// Asks for a share (one of `shares`) of the pixels under tiles first .. last - 1 of a map. Between products
/// that costs nothing, and the transforms find their pixels in the cache.
template <int Write, class T>
void winograd_prefetch(const WinogradPlan& plan, const WinogradGrid& g, Index first, Index last, Index share,
                       Index shares, const T* map) {
  constexpr Index line = 64 / sizeof(T);
  const Index m = plan.tile, lines = std::max<Index>(0, last - first) * m, maps = g.rows * g.columns;
  for (Index i = share * lines / shares; i < (share + 1) * lines / shares; ++i) {
    const Index t = first + i / m, y = t % maps / g.columns * m + i % m, x = t % g.columns * m;
    if (y >= g.h) continue;
    const T* const row = map + ((t / maps * g.h + y) * g.w + x) * g.c;
    for (Index j = 0; j < std::min(m, g.w - x) * g.c; j += line) __builtin_prefetch(row + j, Write, 2);
  }
}

/// y = [relu](convolution of x [+ bias] [+ residual]) with transformed weights; residual may be y itself.
template <class T>
void winograd_forward(const WinogradPlan& plan, const T* x, const T* u, const Conv2dEpilogue<T>& e, T* y) {
  const auto& tile = tile_table<T>();
  const auto& transforms = plan.transforms<T>();
  const WinogradGrid x_grid = plan.x_grid(), y_grid = plan.y_grid();
  const Index c = plan.shape.c, o = plan.shape.o, tiles = plan.tiles(), products = plan.products();
  const Index in = round_up(c, tile.lanes), out = round_up(o, tile.lanes), u_size = tile.packed_size(c, o);
  const Index per_task = tiles >= 96 ? 12 : 6, tasks = ceil_div(tiles, per_task);
  const Index v_plane = winograd_plane<T>(per_task, in), m_plane = winograd_plane<T>(per_task, out);
  const Index v_size = products * v_plane, task_size = v_size + products * m_plane;
  Scratch<T> scratch(workers(tasks) * task_size);
  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index first = task * per_task, count = std::min(per_task, tiles - first);
    const WinogradPlanes<T> v{scratch.data() + worker * task_size, v_plane, in};
    const WinogradPlanes<T> m{v.data + v_size, m_plane, out};
    transforms.input(x_grid, first, count, x, v);
    for (Index p = 0; p < products; ++p) {
      winograd_prefetch<1>(plan, y_grid, first, first + count, p, products, y);
      winograd_prefetch<0>(plan, x_grid, first + count, std::min(first + 2 * count, tiles), p, products, x);
      multiply_packed<T>({count, out, c}, v.data + p * v_plane, in, u + p * u_size, m.data + p * m_plane,
                         out);
    }
    transforms.output(y_grid, first, count, m, e, y);
  });
}

/// The same with weights that are used once.
template <class T>
void winograd_convolve(const WinogradPlan& plan, WinogradKernel kernel, const T* x, const T* weight,
                       const Conv2dEpilogue<T>& e, T* y) {
  Scratch<T> u(winograd_weights_size<T>(plan));
  winograd_pack(plan, kernel, weight, u.data());
  winograd_forward(plan, x, u.data(), e, y);
}

}  // namespace gram::cpu
