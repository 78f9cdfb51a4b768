// SPDX-License-Identifier: MIT
// How long work takes on a device.
#pragma once
#include <vector>

#include "gram/cuda/context.cuh"

namespace gram::cuda {

/// Milliseconds of each of some runs, after a first one. start() starts the work on the device's stream and
/// says whether it could; empty when it could not.
template <class F>
std::vector<float> device_times(Cuda device, const F& start, int runs) {
  struct Event {
    Event() { check(cudaEventCreate(&handle), "cudaEventCreate"); }
    ~Event() { cudaEventDestroy(handle); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    cudaEvent_t handle = nullptr;
  };
  const Event before, after;
  std::vector<float> all;
  if (!start()) return all;
  for (int i = 0; i < runs; ++i) {
    check(cudaEventRecord(before.handle, stream(device)), "cudaEventRecord");
    start();
    check(cudaEventRecord(after.handle, stream(device)), "cudaEventRecord");
    check(cudaEventSynchronize(after.handle), "timing");
    check(cudaEventElapsedTime(&all.emplace_back(), before.handle, after.handle), "cudaEventElapsedTime");
  }
  return all;
}

}  // namespace gram::cuda
