// SPDX-License-Identifier: MIT
// Counting of right predictions: a warp for each row. Reads the logits once. Counts are integers, for which
// the order of atomic additions does not matter; the loss is added by one thread.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/cuda/meter.hpp"

namespace gram::cuda {

/// The place of the largest value of all lanes, the first one of equals; value and place are those of a lane.
template <class A>
GRAM_DEVICE Index warp_argmax(A value, Index place) {
  for (int distance = warp_size / 2; distance; distance /= 2) {
    const A other = __shfl_xor_sync(0xffffffffU, value, distance);
    const Index there = __shfl_xor_sync(0xffffffffU, place, distance);
    if (other > value || (other == value && there < place)) value = other, place = there;
  }
  return place;
}

/// What detail::first_largest() of train/meter.hpp finds.
template <class T>
__global__ void meter_kernel(MeterBatch<T> batch, MeterCounts* counts) {
  using Count = unsigned long long;
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const Index warps = item_step() / warp_size;
  for (Index row = first_item() / warp_size; row < batch.rows; row += warps) {
    const Index label = batch.labels[row], start = row * batch.classes;
    for (int head = 0; head <= batch.heads; ++head) {  // the last one is the sum of all
      const int first = head < batch.heads ? head : 0, end = head < batch.heads ? head + 1 : batch.heads;
      double best = -HUGE_VAL;
      Index place = batch.classes;
      for (Index c = lane; c < batch.classes; c += warp_size) {
        double sum = 0;
        for (int h = first; h < end; ++h) sum += static_cast<double>(batch.logits[h][start + c]);
        if (sum > best || (sum == best && place == batch.classes)) best = sum, place = c;
      }
      place = warp_argmax(best, place);
      if (lane == 0) {
        Count* const count =
            reinterpret_cast<Count*>(head < batch.heads ? &counts->head_correct[head] : &counts->correct);
        if (place == label) atomicAdd(count, Count{1});
      }
    }
  }
  if (first_item() == 0) {
    counts->images += static_cast<std::uint64_t>(batch.rows);
    counts->loss += static_cast<double>(*batch.loss) * static_cast<double>(batch.rows);
  }
}
template <class T>
void meter_add(Cuda device, const MeterBatch<T>& batch, MeterCounts* counts) {
  launch(device, meter_kernel<T>, grid_blocks(batch.rows, block_threads / warp_size), block_threads, 0, batch,
         counts);
}

template <class T>
void fill_in_meter_tables() {
  meter_table<T> = {meter_add<T>};
}

}  // namespace gram::cuda
