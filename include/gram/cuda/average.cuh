// SPDX-License-Identifier: MIT
// Moving averages of all tensors in one launch or a few. Averages are read and written once, values read
// once.
#pragma once
#include "gram/cuda/average.hpp"
#include "gram/cuda/chunks.cuh"

namespace gram::cuda {

template <class T>
__global__ void move_averages_kernel(ItemChunk<kernels::AverageItem<T>> chunk, accum_t<T> keep,
                                     accum_t<T> share) {
  constexpr Index piece = decltype(chunk)::piece;
  const int number = chunk.find(blockIdx.x);
  const kernels::AverageItem<T> item = chunk.item[number];
  const Index begin = (blockIdx.x - chunk.first_block[number]) * piece,
              end = begin + piece < item.n ? begin + piece : item.n;
  for (Index i = begin + threadIdx.x; i < end; i += block_threads)
    item.average[i] = keep * item.average[i] + share * wide(item.values[i]);
}

template <class T>
void move_averages(Cuda device, std::span<const kernels::AverageItem<T>> items, double decay) {
  using A = accum_t<T>;
  for_chunks(items, [&](const auto& chunk, unsigned blocks) {
    launch(device, move_averages_kernel<T>, blocks, block_threads, 0, chunk, static_cast<A>(decay),
           static_cast<A>(1 - decay));
  });
}

template <class T>
void fill_in_average_tables() {
  average_table<T> = {move_averages<T>};
}

}  // namespace gram::cuda
