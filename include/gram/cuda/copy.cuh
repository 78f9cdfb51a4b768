// SPDX-License-Identifier: MIT
// Fills, conversions and sums in place: loops over all elements by all threads of a grid. They wait for
// memory, so that what matters is that neighbours are read by neighbours.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/cuda/copy.hpp"

namespace gram::cuda {

template <class T>
__global__ void fill_kernel(T* y, T value, Index n) {
  for (Index i = first_item(); i < n; i += item_step()) y[i] = value;
}
template <class T>
void fill(Cuda device, T* y, T value, Index n) {
  launch(device, fill_kernel<T>, grid_blocks(n), block_threads, 0, y, value, n);
}

template <class From, class To>
__global__ void convert_kernel(const From* x, To* y, Index n) {
  for (Index i = first_item(); i < n; i += item_step()) y[i] = static_cast<To>(x[i]);
}
template <class From, class To>
void convert(Cuda device, const From* x, To* y, Index n) {
  launch(device, convert_kernel<From, To>, grid_blocks(n), block_threads, 0, x, y, n);
}

template <class T>
__global__ void accumulate_kernel(const T* x, T* y, Index n) {
  for (Index i = first_item(); i < n; i += item_step()) y[i] = narrow<T>(wide(y[i]) + wide(x[i]));
}
template <class T>
void accumulate(Cuda device, const T* x, T* y, Index n) {
  launch(device, accumulate_kernel<T>, grid_blocks(n), block_threads, 0, x, y, n);
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
