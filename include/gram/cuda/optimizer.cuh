// SPDX-License-Identifier: MIT
// Steps of the optimisers for all parameters in one launch or a few. What must be moved: values, gradient and
// state are read once, values and state (and the parameters of bf16 networks) written once.
#pragma once
#include <cmath>

#include "gram/cuda/chunks.cuh"
#include "gram/cuda/clip.cuh"
#include "gram/cuda/columns.cuh"
#include "gram/cuda/optimizer.hpp"

namespace gram::cuda {

/// The update of one element; b is the momentum buffer, if any.
template <class A>
GRAM_DEVICE A updated(const SgdStep<A>& s, A w, A g, A& b, A&, bool has_buffer) {
  A d = std::fma(s.weight_decay, w, g);
  if (has_buffer) {
    b = s.first ? d : std::fma(s.momentum, b, s.share * d);
    d = s.nesterov ? std::fma(s.momentum, b, d) : b;
  }
  return std::fma(-s.lr, d, w);
}
template <class A>
GRAM_DEVICE A updated(const AdamWStep<A>& s, A w, A g, A& m, A& v, bool) {
  m = std::fma(s.beta1, m, s.share1 * g);
  v = std::fma(s.beta2, v, s.share2 * g * g);
  return w * s.keep - s.step * m / std::fma(std::sqrt(v), s.correction, s.epsilon);
}

/// V elements from i on.
template <int V, class T, class Step>
GRAM_DEVICE void update_pack(const kernels::OptimizerItem<T, Step>& item, const Step& step, Index i) {
  using A = accum_t<T>;
  const auto gradient = load_pack<V>(item.gradient + i);
  auto w = load_pack<V>(item.values + i), first = load_pack_or<V>(item.state[0], i, A(0)),
       second = load_pack_or<V>(item.state[1], i, A(0));
  for (int v = 0; v < V; ++v)
    w.value[v] = updated(step, w.value[v], wide(gradient.value[v]), first.value[v], second.value[v],
                         item.state[0] != nullptr);
  store_pack(item.values + i, w);
  if (item.state[0]) store_pack(item.state[0] + i, first);
  if (item.state[1]) store_pack(item.state[1] + i, second);
  if constexpr (!std::same_as<T, A>) {
    Pack<T, V> rounded;
    for (int v = 0; v < V; ++v) rounded.value[v] = narrow<T>(w.value[v]);
    store_pack(item.parameter + i, rounded);
  }
}

GRAM_DEVICE std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

template <class T, class Step>
__global__ void __launch_bounds__(block_threads)
    optimizer_kernel(ItemChunk<kernels::OptimizerItem<T, Step>> chunk) {
  using A = accum_t<T>;
  constexpr int V = pack_size<A>;
  constexpr Index piece = decltype(chunk)::piece;
  const int number = chunk.find(blockIdx.x);
  const kernels::OptimizerItem<T, Step> item = chunk.item[number];
  const Step step = item.live ? *item.live : item.step;
  const bool packs = (address(item.values) | address(item.state[0]) | address(item.state[1])) % 16 == 0 &&
                     (address(item.parameter) | address(item.gradient)) % (V * sizeof(T)) == 0;
  const Index begin = (blockIdx.x - chunk.first_block[number]) * piece,
              end = begin + piece < item.n ? begin + piece : item.n;
  for (Index i = begin + threadIdx.x * V; i < end; i += block_threads * V) {
    if (packs && i + V <= end)
      update_pack<V>(item, step, i);
    else
      for (Index k = i; k < i + V && k < end; ++k) update_pack<1>(item, step, k);
  }
}

template <class T, class Step>
void optimizer_step(Cuda device, std::span<const kernels::OptimizerItem<T, Step>> items) {
  for_chunks(items, [&](const auto& chunk, unsigned blocks) {
    launch(device, optimizer_kernel<T, Step>, blocks, block_threads, 0, chunk);
  });
}

template <class T>
void fill_in_optimizer_tables() {
  using A = accum_t<T>;
  optimizer_table<T> = {optimizer_step<T, SgdStep<A>>, optimizer_step<T, AdamWStep<A>>, clip_gradients<T>};
}

}  // namespace gram::cuda
