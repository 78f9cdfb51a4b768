// SPDX-License-Identifier: MIT
// Mixing of tokens, as host code calls it; token_mixing.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/box.hpp"

namespace gram::cuda {

template <class T>
struct TokenMixingTable {
  void (*exchange_box)(Cuda, const Shape& shape, const TokenBox& box, const T* x, T* y, bool add);
  void (*kept_share)(Cuda, const TokenBox& box, Index tokens, T* y);
};
template <class T>
inline TokenMixingTable<T> token_mixing_table{};

inline void (*arrange_labels)(Cuda, const std::int64_t* labels, Index n, Index times, bool reversed,
                              std::int64_t* y) = nullptr;

}  // namespace gram::cuda

namespace gram::kernels {

/// y[n] = x[n] outside the box and x[N - 1 - n] inside; shape (N, H, W, C).
template <class T>
void exchange_box(Cuda device, const Shape& shape, const TokenBox& box, const T* x, T* y, bool add) {
  cuda::token_mixing_table<T>.exchange_box(device, shape, box, x, y, add);
}
/// y[0] = 1 - area of the box / tokens
template <class T>
void kept_share(Cuda device, const TokenBox& box, Index tokens, T* y) {
  cuda::token_mixing_table<T>.kept_share(device, box, tokens, y);
}
/// Each label `times` times in a row, from the last one to the first when reversed.
inline void arrange_labels(Cuda device, const std::int64_t* labels, Index n, Index times, bool reversed,
                           std::int64_t* y) {
  cuda::arrange_labels(device, labels, n, times, reversed, y);
}

}  // namespace gram::kernels
