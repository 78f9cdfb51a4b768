// SPDX-License-Identifier: MIT
// The caching allocator of a device. Blocks come from the device's stream-ordered pool and go back to lists
// by size class; since all work of a device is on one stream, a block that was released may be handed out at
// once: whoever writes it next runs behind whoever read it last. After the first training step nothing is
// asked of the driver. With GRAM_CUDA_UNCACHED set in the environment, everything is, in exact sizes: tools
// that look for wrong accesses see the ends of blocks, and their lives.
#pragma once
#include <cuda_runtime.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "gram/core/error.hpp"
#include "gram/core/memory.hpp"

namespace gram::cuda {

/// Blocks of a graph. Its replays use their addresses, so that nobody else gets them while it lives.
struct PrivateBlocks {
  std::map<std::size_t, std::vector<void*>> free;  ///< by size class
  std::unordered_map<void*, std::size_t> all;      ///< size of every block
};

class DeviceMemory {
 public:
  static constexpr std::size_t alignment = 256;

  DeviceMemory(int device, cudaStream_t stream) : device_(device), stream_(stream) {}

  void* allocate(std::size_t bytes) {
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    ++stats_.allocations;
    if (private_) {
      std::vector<void*>& own = private_->free[size];
      if (!own.empty()) return take_last(own);
    }
    std::vector<void*>& list = free_[size];
    void* memory = nullptr;
    if (!list.empty()) {
      memory = take_last(list);
      stats_.cached -= size;
    } else {
      memory = private_ ? from_driver_during_capture(size) : from_driver(size);
    }
    if (private_) {
      private_->all.emplace(memory, size);
      owner_.emplace(memory, private_.get());
    }
    stats_.in_use += size;
    if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
    return memory;
  }

  void release(void* memory, std::size_t bytes) noexcept {
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    if (!owner_.empty()) {
      const auto graph = owner_.find(memory);
      if (graph != owner_.end()) return graph->second->free[size].push_back(memory);
    }
    to_cache(memory, size);
  }

  /// From here on, blocks belong to a graph, until take_private(). They count as in use as long as it lives.
  void begin_private() {
    const std::scoped_lock lock(mutex_);
    private_ = std::make_unique<PrivateBlocks>();
  }
  std::unique_ptr<PrivateBlocks> take_private() noexcept {
    const std::scoped_lock lock(mutex_);
    return std::move(private_);
  }
  /// The graph is gone: its blocks are everybody's; those that tensors still hold, once they are released.
  void end_private(std::unique_ptr<PrivateBlocks> blocks) noexcept {
    const std::scoped_lock lock(mutex_);
    for (const auto& [memory, size] : blocks->all) owner_.erase(memory);
    for (const auto& [size, list] : blocks->free)
      for (void* const memory : list) to_cache(memory, size);
  }

  /// Gives cached blocks back to the driver; not while a graph is captured, which would free them as well.
  void trim() noexcept {
    const std::scoped_lock lock(mutex_);
    if (!private_) trim_locked();
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
  std::size_t block_size(std::size_t bytes) const {
    if (uncached_) return bytes > 0 ? bytes : 1;
    return detail::CachingAllocator::class_size(bytes < alignment ? alignment : bytes);
  }
  static void* take_last(std::vector<void*>& list) {
    void* const memory = list.back();
    list.pop_back();
    return memory;
  }
  void to_cache(void* memory, std::size_t size) noexcept {
    stats_.in_use -= size;
    if (uncached_ && !private_) {  // while a graph is captured, it would become a part of that
      cudaFreeAsync(memory, stream_);
      return;
    }
    free_[size].push_back(memory);
    stats_.cached += size;
  }

  void* from_driver(std::size_t size) {
    void* memory = nullptr;
    cudaError_t status = cudaMallocAsync(&memory, size, stream_);
    if (status == cudaErrorMemoryAllocation) {
      trim_locked();
      cudaStreamSynchronize(stream_);
      status = cudaMallocAsync(&memory, size, stream_);
    }
    return checked(memory, status, size);
  }
  /// Asked on a stream of its own, or the request would become a part of the graph.
  void* from_driver_during_capture(std::size_t size) {
    void* memory = nullptr;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cudaThreadExchangeStreamCaptureMode(&mode);
    cudaError_t status = cudaSuccess;
    if (!side_stream_) status = cudaStreamCreateWithFlags(&side_stream_, cudaStreamNonBlocking);
    if (status == cudaSuccess) status = cudaMallocAsync(&memory, size, side_stream_);
    if (status == cudaSuccess) status = cudaStreamSynchronize(side_stream_);
    cudaThreadExchangeStreamCaptureMode(&mode);
    return checked(memory, status, size);
  }
  void* checked(void* memory, cudaError_t status, std::size_t size) {
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

  const bool uncached_ = std::getenv("GRAM_CUDA_UNCACHED") != nullptr;
  int device_;
  cudaStream_t stream_, side_stream_ = nullptr;
  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::map<std::size_t, std::vector<void*>> free_;
  std::unique_ptr<PrivateBlocks> private_;           // while a graph is captured
  std::unordered_map<void*, PrivateBlocks*> owner_;  // of blocks that belong to graphs
};

}  // namespace gram::cuda
