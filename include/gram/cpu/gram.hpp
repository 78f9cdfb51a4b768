// SPDX-License-Identifier: MIT
// The normalised Gram vector of a map: one task for each image, only tiles of the upper triangle.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/packed.hpp"
#include "gram/kernels/gram.hpp"

namespace gram::cpu {

template <class A>
struct GramTable {
  double (*pack_triangle)(Index g, A scale, A* G);
  void (*unpack_triangle)(Index g, const A* v, A* S);
};
template <class A>
const GramTable<A>& gram_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/gram.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class A>
const gram::cpu::GramTable<A>& gram::cpu::gram_table() {
  return GRAM_SELECT(gram_kernels<A>);
}
#endif

namespace gram::kernels {

/// Pixels that are widened at a time.
inline constexpr Index gram_chunk = 256;

/// x in the type A that sums are made in: itself, or a copy.
template <class T, class A>
const A* widened(const T* x, Index count, A* copy) {
  if constexpr (std::is_same_v<T, A>) {
    return x;
  } else {
    for (Index i = 0; i < count; ++i) copy[i] = static_cast<A>(x[i]);
    return copy;
  }
}

/// y (images, k) = upper triangle of scale X^T X, divided by its norm; k = width (width + 1) / 2. norm
/// (images): before the division.
template <class T>
void gram_vector(Cpu, const GramShape& s, const T* x, T* y, double* norm) {
  using A = accum_t<T>;
  const Index g = s.width, k = g * (g + 1) / 2, panel = cpu::tile_table<A>().width;
  const Index chunk = std::is_same_v<T, A> ? s.pixels : (std::min)(gram_chunk, s.pixels);
  cpu::Layout at;
  const Index G = at.take(g * g), copy = at.take(std::is_same_v<T, A> ? 0 : chunk * g),
              outer = at.take(cpu::gemm_outer_scratch<A>());
  const cpu::ItemLoop images(s.images, s.pixels * g * g / 2);
  Scratch<A> scratch(images.workers() * at.size);
  images.run([&](Index n, int worker) {
    A* const m = scratch.data() + worker * at.size;
    for (Index pixel = 0; pixel < s.pixels; pixel += chunk) {
      const Index rows = (std::min)(chunk, s.pixels - pixel);
      const A* X = widened(x + (n * s.pixels + pixel) * g, rows * g, m + copy);
      for (Index b = 0; b < g; b += panel) {  // columns b .. end of G, from the first row to the diagonal
        const Index end = (std::min)(g, b + panel);
        cpu::gemm_outer({end, end - b, rows}, X, g, cpu::operand(X + b, g, false), m + G + b, g,
                        {.add = pixel > 0}, m + outer);
      }
    }
    norm[n] = std::sqrt(cpu::gram_table<A>().pack_triangle(g, static_cast<A>(s.scale), m + G));
    const auto inverse = static_cast<A>(1 / (std::max)(norm[n], s.epsilon));
    for (Index i = 0; i < k; ++i) y[n * k + i] = static_cast<T>(m[G + i] * inverse);
  });
}

/// dx = scale X (V + V^T), V the upper triangular matrix of (dy - y <y, dy>) / norm; added to dx on request.
template <class T>
void gram_vector_grad(Cpu, const GramShape& s, const T* x, const T* y, const double* norm, const T* dy, T* dx,
                      bool add) {
  using A = accum_t<T>;
  const Index g = s.width, k = g * (g + 1) / 2;
  const Index chunk = std::is_same_v<T, A> ? s.pixels : (std::min)(gram_chunk, s.pixels);
  cpu::Layout at;
  const Index S = at.take(g * g), triangle = at.take(k),
              panels = at.take(cpu::tile_table<A>().packed_size(g, g)),
              copy = at.take(std::is_same_v<T, A> ? 0 : chunk * g),
              out = at.take(std::is_same_v<T, A> ? 0 : chunk * g);
  const cpu::ItemLoop images(s.images, s.pixels * g * g);
  Scratch<A> scratch(images.workers() * at.size);
  images.run([&](Index n, int worker) {
    A* const m = scratch.data() + worker * at.size;
    const T *v = y + n * k, *dv = dy + n * k;
    double dot = 0;
    for (Index i = 0; i < k; ++i) dot += static_cast<double>(v[i]) * static_cast<double>(dv[i]);
    if (norm[n] <= s.epsilon) dot = 0;  // the floor is a constant
    const double factor = s.scale / (std::max)(norm[n], s.epsilon);
    const auto p = static_cast<A>(factor), q = static_cast<A>(-factor * dot);
    for (Index i = 0; i < k; ++i) m[triangle + i] = p * static_cast<A>(dv[i]) + q * static_cast<A>(v[i]);
    cpu::gram_table<A>().unpack_triangle(g, m + triangle, m + S);
    cpu::pack(g, g, cpu::operand(m + S, g, false), m + panels);
    for (Index pixel = 0; pixel < s.pixels; pixel += chunk) {
      const Index rows = (std::min)(chunk, s.pixels - pixel), first = (n * s.pixels + pixel) * g;
      const A* X = widened(x + first, rows * g, m + copy);
      if constexpr (std::is_same_v<T, A>) {
        cpu::multiply_packed({rows, g, g}, X, g, m + panels, dx + first, g, {.add = add});
      } else {
        cpu::multiply_packed({rows, g, g}, X, g, m + panels, m + out, g);
        for (Index i = 0; i < rows * g; ++i)
          dx[first + i] = static_cast<T>(m[out + i] + (add ? static_cast<A>(dx[first + i]) : A(0)));
      }
    }
  });
}

}  // namespace gram::kernels
