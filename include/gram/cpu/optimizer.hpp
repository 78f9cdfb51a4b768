// SPDX-License-Identifier: MIT
// Steps of the optimisers, one pass over a parameter each, and what clipping needs. Values, gradient and
// state are arrays of n elements; values are accum_t<T>: the parameter's own for float and double, its master
// copy for bf16.
#pragma once
#include <cmath>
#include <span>

#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cpu/simd.hpp"
#include "gram/kernels/optimizer.hpp"

namespace gram {

namespace cpu {

template <class T>
struct OptimizerTable {
  using A = accum_t<T>;
  void (*sgd)(Index n, T* parameter, A* values, const T* gradient, A* momentum_buffer,
              const SgdStep<A>& step);
  void (*adamw)(Index n, T* parameter, A* values, const T* gradient, A* m, A* v, const AdamWStep<A>& step);
  double (*sum_squares)(Index n, const T* x);
  void (*scale)(Index n, T* x, A factor);
};
template <class T>
const OptimizerTable<T>& optimizer_table();

}  // namespace cpu
}  // namespace gram

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/optimizer.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::OptimizerTable<T>& gram::cpu::optimizer_table() {
  return GRAM_SELECT(optimizer_kernels<T>);
}
#endif

namespace gram::kernels {

/// One step of SGD; momentum_buffer may be null. For float and double, parameter and values are the same
/// memory.
template <class T>
void sgd(Cpu, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* momentum_buffer, Index n,
         const SgdStep<accum_t<T>>& step) {
  const auto& table = cpu::optimizer_table<T>();
  parallel_for(n, grain, [&](Index i, Index end) {
    table.sgd(end - i, parameter + i, values + i, gradient + i,
              momentum_buffer ? momentum_buffer + i : nullptr, step);
  });
}

/// One step of AdamW.
template <class T>
void adamw(Cpu, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* m, accum_t<T>* v, Index n,
           const AdamWStep<accum_t<T>>& step) {
  const auto& table = cpu::optimizer_table<T>();
  parallel_for(n, grain, [&](Index i, Index end) {
    table.adamw(end - i, parameter + i, values + i, gradient + i, m + i, v + i, step);
  });
}

/// The same for several parameters.
template <class T>
void sgd(Cpu device, std::span<const OptimizerItem<T, SgdStep<accum_t<T>>>> items) {
  for (const auto& i : items) sgd(device, i.parameter, i.values, i.gradient, i.state[0], i.n, i.step);
}
template <class T>
void adamw(Cpu device, std::span<const OptimizerItem<T, AdamWStep<accum_t<T>>>> items) {
  for (const auto& i : items)
    adamw(device, i.parameter, i.values, i.gradient, i.state[0], i.state[1], i.n, i.step);
}

/// Sum of x^2 in double, pieces in order.
template <class T>
double sum_squares(Cpu, const T* x, Index n) {
  const auto& table = cpu::optimizer_table<T>();
  Scratch<double> partial(ceil_div(n, grain));
  parallel_for(n, grain, [&](Index i, Index end) { partial[i / grain] = table.sum_squares(end - i, x + i); });
  double total = 0;
  for (Index i = 0; i < ceil_div(n, grain); ++i) total += partial[i];
  return total;
}

/// x *= factor
template <class T>
void scale(Cpu, T* x, double factor, Index n) {
  const auto& table = cpu::optimizer_table<T>();
  parallel_for(n, grain,
               [&](Index i, Index end) { table.scale(end - i, x + i, static_cast<accum_t<T>>(factor)); });
}

/// norm = root of the sum of all squares; then all gradients times min(1, max_norm / (norm + 1e-6)).
template <class T>
void clip_gradients(Cpu device, std::span<const GradientSpan<T>> gradients,
                    std::span<const GradientSpan<accum_t<T>>> wide, double max_norm, double* norm) {
  double squares = 0;
  for (const auto& g : gradients) squares += sum_squares(device, g.data, g.n);
  for (const auto& g : wide) squares += sum_squares(device, g.data, g.n);
  *norm = std::sqrt(squares);
  const double factor = max_norm / (*norm + 1e-6);
  if (factor >= 1) return;
  for (const auto& g : gradients) scale(device, g.data, factor, g.n);
  for (const auto& g : wide) scale(device, g.data, factor, g.n);
}

}  // namespace gram::kernels
