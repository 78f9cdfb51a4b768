// SPDX-License-Identifier: MIT
// Fills, conversions and sums in place: loops over all elements by all threads of a grid. They wait for
// memory, so that what matters is that neighbours are read by neighbours.
#pragma once
#include "gram/cuda/copy.hpp"
#include "gram/cuda/strided.cuh"

namespace gram::cuda {

template <class T>
__global__ void fill_kernel(T* y, T value, Index n, Index lines) {
  Line<T> line;
  for (int k = 0; k < pack_size<T>; ++k) line.value[k] = value;
  for (Index i = first_item(); i < lines; i += item_step()) store_line(y + i * pack_size<T>, line);
  for (Index i = lines * pack_size<T> + first_item(); i < n; i += item_step()) y[i] = value;
}
template <class T>
void fill(Cuda device, T* y, T value, Index n) {
  const Index lines = packable(y) ? n / pack_size<T> : 0;
  launch(device, fill_kernel<T>, grid_blocks(lines ? lines : n), block_threads, 0, y, value, n, lines);
}

/// Elements that fill 16 bytes of the larger type.
template <class From, class To>
inline constexpr int converted_together = 16 / static_cast<int>(sizeof(From) > sizeof(To) ? sizeof(From)
                                                                                          : sizeof(To));

template <class From, class To>
__global__ void convert_kernel(const From* x, To* y, Index n, Index packs) {
  constexpr int N = converted_together<From, To>;
  for (Index i = first_item(); i < packs; i += item_step()) {
    const auto from = reinterpret_cast<const Pack<From, N>*>(x)[i];
    Pack<To, N> to;
    for (int k = 0; k < N; ++k) to.value[k] = static_cast<To>(from.value[k]);
    reinterpret_cast<Pack<To, N>*>(y)[i] = to;
  }
  for (Index i = packs * N + first_item(); i < n; i += item_step()) y[i] = static_cast<To>(x[i]);
}
template <class From, class To>
void convert(Cuda device, const From* x, To* y, Index n) {
  const Index packs = packable(x) && packable(y) ? n / converted_together<From, To> : 0;
  launch(device, convert_kernel<From, To>, grid_blocks(packs ? packs : n), block_threads, 0, x, y, n, packs);
}

template <class T>
void accumulate(Cuda device, const T* x, T* y, Index n) {
  strided_copy(device, {}, {n, 1, 0, 1}, x, y, true);
}

template <class From>
void fill_in_convert_tables() {
  convert_table<From, float> = {convert<From, float>};
  convert_table<From, double> = {convert<From, double>};
  convert_table<From, bf16> = {convert<From, bf16>};
  convert_table<From, std::int32_t> = {convert<From, std::int32_t>};
  convert_table<From, std::int64_t> = {convert<From, std::int64_t>};
  convert_table<From, std::uint8_t> = {convert<From, std::uint8_t>};
}
template <class T>
void fill_in_copy_tables() {
  fill_table<T> = {fill<T>};
  fill_in_convert_tables<T>();
}

}  // namespace gram::cuda
