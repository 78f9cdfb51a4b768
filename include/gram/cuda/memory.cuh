// SPDX-License-Identifier: MIT
// The caching allocator of a device. Blocks come from the device's stream-ordered pool and go back to lists
// by size class; since all work of a device is on one stream, a block that was released may be handed out at
// once: whoever writes it next runs behind whoever read it last. After the first training step nothing is
// asked of the driver.
#pragma once
#include <cuda_runtime.h>

#include <map>
#include <mutex>
#include <vector>

#include "gram/core/error.hpp"
#include "gram/core/memory.hpp"

namespace gram::cuda {

class DeviceMemory {
 public:
  static constexpr std::size_t alignment = 256;

  DeviceMemory(int device, cudaStream_t stream) : device_(device), stream_(stream) {}

  static std::size_t class_size(std::size_t bytes) {
    return detail::CachingAllocator::class_size(bytes < alignment ? alignment : bytes);
  }

  void* allocate(std::size_t bytes) {
    const std::size_t size = class_size(bytes);
    const std::scoped_lock lock(mutex_);
    std::vector<void*>& list = free_[size];
    void* memory = nullptr;
    if (!list.empty()) {
      memory = list.back();
      list.pop_back();
      stats_.cached -= size;
    } else {
      memory = from_driver(size);
    }
    ++stats_.allocations;
    stats_.in_use += size;
    if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
    return memory;
  }

  void release(void* memory, std::size_t bytes) noexcept {
    const std::size_t size = class_size(bytes);
    const std::scoped_lock lock(mutex_);
    free_[size].push_back(memory);
    stats_.in_use -= size;
    stats_.cached += size;
  }

  /// Gives cached blocks back to the driver.
  void trim() noexcept {
    const std::scoped_lock lock(mutex_);
    trim_locked();
  }

  MemoryStats stats() const {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::scoped_lock lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  void* from_driver(std::size_t size) {
    void* memory = nullptr;
    cudaError_t status = cudaMallocAsync(&memory, size, stream_);
    if (status == cudaErrorMemoryAllocation) {
      trim_locked();
      cudaStreamSynchronize(stream_);
      status = cudaMallocAsync(&memory, size, stream_);
    }
    if (status != cudaSuccess) {
      cudaGetLastError();  // the next call must not report it again
      throw MemoryError(text("cuda:", device_, ": the driver refused ", size, " bytes (",
                             cudaGetErrorString(status), "); ", stats_.in_use, " bytes in use, ",
                             stats_.cached, " cached"));
    }
    ++stats_.system_requests;
    return memory;
  }

  void trim_locked() noexcept {
    for (auto& [size, list] : free_) {
      for (void* const memory : list) cudaFreeAsync(memory, stream_);
      list.clear();
    }
    stats_.cached = 0;
  }

  int device_;
  cudaStream_t stream_;
  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::map<std::size_t, std::vector<void*>> free_;
};

}  // namespace gram::cuda
