// SPDX-License-Identifier: MIT
// Many arrays in one launch. Their pointers and sizes travel as an argument of the kernel, at most 4 KB at a
// time; nothing is copied to the device beforehand, and a captured graph keeps them.
#pragma once
#include <algorithm>
#include <span>

#include "gram/cuda/context.cuh"

namespace gram::cuda {

/// Items, each with a number n of elements, cut into pieces that a block each works on.
template <class Item>
struct ItemChunk {
  static constexpr Index piece = 16 * block_threads;
  static constexpr int most = static_cast<int>(4000 / (sizeof(Item) + sizeof(unsigned)));

  Item item[most];
  unsigned first_block[most];
  int count;

  /// The item of this block.
  constexpr int find(unsigned block) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first_block[middle] <= block ? low : high) = middle;
    }
    return low;
  }
};

/// f(chunk, blocks) for chunks that hold all items in order.
template <class Item, class F>
void for_chunks(std::span<const Item> items, F&& f) {
  using Chunk = ItemChunk<Item>;
  for (std::size_t at = 0; at < items.size();) {
    Chunk chunk;
    chunk.count = 0;
    Index blocks = 0;
    for (; at < items.size() && chunk.count < Chunk::most; ++at) {
      if (items[at].n == 0) continue;
      chunk.item[chunk.count] = items[at];
      chunk.first_block[chunk.count++] = static_cast<unsigned>(blocks);
      blocks += ceil_div(items[at].n, Chunk::piece);
    }
    if (blocks) f(chunk, static_cast<unsigned>(blocks));
  }
}

}  // namespace gram::cuda
