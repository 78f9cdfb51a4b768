// SPDX-License-Identifier: MIT
// Mixing of tokens: one pass over the map, which is read and written once.
#pragma once
#include "gram/cuda/columns.cuh"
#include "gram/cuda/token_mixing.hpp"

namespace gram::cuda {

template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    exchange_box_kernel(TokenBox given, Index images, Index height, Index width, Index channels, const T* x,
                        T* y, bool add) {
  const TokenBox box = given.now();
  const Index packs = channels / V, image = height * width * packs;
  for (Index i = first_item(); i < images * image; i += item_step()) {
    const Index n = i / image, place = i - n * image, row = place / (width * packs),
                column = place / packs - row * width;
    const Index from = (box.holds(row, column) ? images - 1 - n : n) * image + place;
    Pack<T, V> value = load_pack<V>(x + from * V);
    if (add) {
      const Pack<T, V> before = load_pack<V>(y + i * V);
      for (int v = 0; v < V; ++v) value.value[v] = narrow<T>(wide(before.value[v]) + wide(value.value[v]));
    }
    store_pack(y + i * V, value);
  }
}
template <class T>
void exchange_box(Cuda device, const Shape& shape, const TokenBox& box, const T* x, T* y, bool add) {
  if (shape.size() == 0) return;
  const bool packs = rows_of_packs<pack_size<T>>(shape[3], x, y);
  const Index items = shape.size() / (packs ? pack_size<T> : 1);
  launch(device, packs ? exchange_box_kernel<pack_size<T>, T> : exchange_box_kernel<1, T>, grid_blocks(items),
         block_threads, 0, box, shape[0], shape[1], shape[2], shape[3], x, y, add);
}

template <class T>
__global__ void kept_share_kernel(TokenBox box, Index tokens, T* y) {
  *y = narrow<T>(
      static_cast<accum_t<T>>(1 - static_cast<double>(box.now().area()) / static_cast<double>(tokens)));
}
template <class T>
void kept_share(Cuda device, const TokenBox& box, Index tokens, T* y) {
  launch(device, kept_share_kernel<T>, 1, 1, 0, box, tokens, y);
}

static __global__ void arrange_labels_kernel(const std::int64_t* labels, Index n, Index times, bool reversed,
                                             std::int64_t* y) {
  for (Index i = first_item(); i < n * times; i += item_step())
    y[i] = labels[reversed ? n - 1 - i / times : i / times];
}
inline void start_arrange_labels(Cuda device, const std::int64_t* labels, Index n, Index times, bool reversed,
                                 std::int64_t* y) {
  if (n * times > 0)
    launch(device, arrange_labels_kernel, grid_blocks(n * times), block_threads, 0, labels, n, times,
           reversed, y);
}

template <class T>
void fill_in_token_mixing_tables() {
  token_mixing_table<T> = {exchange_box<T>, kept_share<T>};
}

}  // namespace gram::cuda
