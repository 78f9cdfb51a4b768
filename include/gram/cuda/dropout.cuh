// SPDX-License-Identifier: MIT
// Random zeros, from the same bits as on the CPU. x is read once, y is written once.
#pragma once
#include <cmath>

#include "gram/cuda/along_axis.cuh"
#include "gram/cuda/dropout.hpp"
#include "gram/cuda/strided.cuh"

namespace gram::cuda {

/// A thread makes the four random words of four neighbours.
template <class T>
__global__ void dropout_kernel(RandomKey key, std::uint32_t threshold, accum_t<T> scale, const T* x, T* y,
                               bool add, Index n, bool packs) {
  using Four = Pack<T, 4>;
  using A = accum_t<T>;
  key = key.now();
  for (Index group = first_item(); group < ceil_div(n, 4); group += item_step()) {
    const auto words = key.bits(static_cast<std::uint64_t>(group));
    const Index i = 4 * group;
    if (packs && i + 4 <= n) {
      const Four from = *reinterpret_cast<const Four*>(x + i);
      Four to;
      if (add) to = *reinterpret_cast<const Four*>(y + i);
      for (int k = 0; k < 4; ++k)
        put(to.value[k], words[static_cast<std::size_t>(k)] >= threshold ? wide(from.value[k]) * scale : A(0),
            add);
      *reinterpret_cast<Four*>(y + i) = to;
    } else {
      for (int k = 0; k < 4 && i + k < n; ++k)
        put(y[i + k], words[static_cast<std::size_t>(k)] >= threshold ? wide(x[i + k]) * scale : A(0), add);
    }
  }
}
template <class T>
void dropout(Cuda device, RandomKey key, double p, const T* x, T* y, bool add, Index n) {
  const double words = std::round(p * 0x1p32);
  const auto threshold = static_cast<std::uint32_t>(words < 0x1p32 - 1 ? words : 0x1p32 - 1);
  const auto aligned = [](const T* memory) {
    return reinterpret_cast<std::uintptr_t>(memory) % sizeof(Pack<T, 4>) == 0;
  };
  launch(device, dropout_kernel<T>, grid_blocks(ceil_div(n, 4)), block_threads, 0, key, threshold,
         static_cast<accum_t<T>>(1 / (1 - p)), x, y, add, n, aligned(x) && aligned(y));
}

/// Samples along y; `lines` packs of each along x, and single elements behind them.
template <class T>
__global__ void drop_path_kernel(RandomKey key, double p, const T* x, T* y, bool add, Index samples,
                                 Index size, Index lines) {
  key = key.now();
  for (Index sample = blockIdx.y; sample < samples; sample += gridDim.y) {
    const bool kept = key.uniform(static_cast<std::uint64_t>(sample)) >= p;
    const auto factor = static_cast<accum_t<T>>(kept ? 1 / (1 - p) : 0.0);
    const T* const from = x + sample * size;
    T* const to = y + sample * size;
    for (Index line = first_item(); line < lines; line += item_step()) {
      const Index i = line * pack_size<T>;
      const Line<T> u = load_line(from, i, 1);
      Line<T> v;
      if (add) v = load_line(to, i, 1);
      for (int k = 0; k < pack_size<T>; ++k) put(v.value[k], wide(u.value[k]) * factor, add);
      store_line(to + i, v);
    }
    for (Index i = lines * pack_size<T> + first_item(); i < size; i += item_step())
      put(to[i], wide(from[i]) * factor, add);
  }
}
template <class T>
void drop_path(Cuda device, RandomKey key, double p, const T* x, T* y, bool add, Index samples, Index size) {
  const Index lines = size % pack_size<T> == 0 && packable(x) && packable(y) ? size / pack_size<T> : 0;
  const auto down = static_cast<unsigned>(samples < 1024 ? samples : 1024);
  launch(device, drop_path_kernel<T>, dim3(grid_blocks(lines ? lines : size), down), block_threads, 0, key, p,
         x, y, add, samples, size, lines);
}

template <class T>
void fill_in_dropout_tables() {
  dropout_table<T> = {dropout<T>, drop_path<T>};
}

}  // namespace gram::cuda
