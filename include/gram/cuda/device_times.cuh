// SPDX-License-Identifier: MIT
// How long work takes on a device, without what it takes to start it: the device waits until the host has
// started everything.
#pragma once
#include <utility>
#include <vector>

#include "gram/cuda/context.cuh"

namespace gram::cuda {

/// One thread that does nothing for so long.
static __global__ void wait_kernel(long long nanoseconds) {
#if defined(__CUDA_ARCH__)
  long long now, begin;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  while (now - begin < nanoseconds);
#else
  (void)nanoseconds;
#endif
}

/// Keeps a device busy for as long as its clocks take to rise, once in a program.
inline void raise_clocks(Cuda device) {
  static bool done = false;
  if (!std::exchange(done, true)) launch(device, wait_kernel, 1, 1, 0, 100'000'000LL);
}

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
  constexpr long long host_starts = 200'000;  // ns
  raise_clocks(device);
  const Event before, after;
  std::vector<float> all;
  if (!start()) return all;
  for (int i = 0; i < runs; ++i) {
    launch(device, wait_kernel, 1, 1, 0, host_starts);
    check(cudaEventRecord(before.handle, stream(device)), "cudaEventRecord");
    start();
    check(cudaEventRecord(after.handle, stream(device)), "cudaEventRecord");
    check(cudaEventSynchronize(after.handle), "timing");
    check(cudaEventElapsedTime(&all.emplace_back(), before.handle, after.handle), "cudaEventElapsedTime");
  }
  return all;
}

}  // namespace gram::cuda
