// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "gram/core/device.hpp"
#include "gram/core/memory_stats.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gram {

namespace detail {

/// Keeps freed blocks in lists by size class and hands them out again; after the first training step the same
/// sizes come back every step and the system is not asked. Classes have three significant bits: at most 25 %
/// of a block is unused.
class CachingAllocator {
 public:
  static constexpr std::size_t alignment = 64;

  /// Never destroyed: tensors in static storage may outlive any other object.
  static CachingAllocator& instance() {
    static CachingAllocator* const allocator = new CachingAllocator;
    return *allocator;
  }

  static std::size_t class_size(std::size_t bytes) {
    if (bytes <= 4 * alignment) return (bytes + alignment - 1) / alignment * alignment;
    const auto step = std::bit_floor(bytes - 1) / 4;
    return (bytes + step - 1) / step * step;
  }

  void* allocate(std::size_t bytes) {
    const std::size_t size = class_size(bytes ? bytes : 1);
    const std::scoped_lock lock(mutex_);
    Block*& list = free_[bin(size)];
    void* memory = list;
    if (list) {
      list = list->next;
      stats_.cached -= size;
    } else {
      memory = from_system(size);
    }
    ++stats_.allocations;
    stats_.in_use += size;
    if (stats_.in_use > stats_.peak) stats_.peak = stats_.in_use;
    return memory;
  }

  void release(void* memory, std::size_t bytes) noexcept {
    const std::size_t size = class_size(bytes ? bytes : 1);
    const std::scoped_lock lock(mutex_);
    Block*& list = free_[bin(size)];
    list = new (memory) Block{list};
    stats_.in_use -= size;
    stats_.cached += size;
  }

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
  struct Block {
    Block* next;
  };

  /// Four classes to each power of two.
  static std::size_t bin(std::size_t size) {
    const auto top = static_cast<std::size_t>(std::bit_width(size)) - 1;
    return top * 4 + ((size >> (top - 2)) & 3U);
  }

  /// Memory for which the system is asked to use huge pages where that is worth it: kernels that wait for
  /// memory then read a tenth faster.
  static void* aligned(std::size_t size) {
#if defined(__linux__)
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    if (size >= 2 * huge_page) {
      const std::size_t pages = (size + huge_page - 1) / huge_page * huge_page;
      void* const memory = std::aligned_alloc(huge_page, pages);
      if (memory) madvise(memory, pages, MADV_HUGEPAGE);  // advice: it may be refused
      return memory;
    }
#endif
    return std::aligned_alloc(alignment, size);
  }

  void* from_system(std::size_t size) {
    void* memory = aligned(size);
    if (!memory) {
      trim_locked();
      memory = aligned(size);
    }
    require<MemoryError>(memory, "memory: the system refused ", size, " bytes; ", stats_.in_use,
                         " bytes in use, ", stats_.cached, " cached");
    ++stats_.system_requests;
    return memory;
  }

  void trim_locked() noexcept {
    for (Block*& list : free_)
      while (list) std::free(std::exchange(list, list->next));
    stats_.cached = 0;
  }

  mutable std::mutex mutex_;
  MemoryStats stats_;
  Block* free_[64 * 4] = {};
};

}  // namespace detail

/// Counters of the allocator that tensors and scratch buffers of a device come from.
inline MemoryStats memory_stats(Device device = Device::cpu()) {
  if (device.kind() == Device::Kind::cuda) return cuda::runtime->stats(device.index());
  return detail::CachingAllocator::instance().stats();
}
/// Sets MemoryStats::peak back to what is in use now.
inline void reset_peak_memory(Device device = Device::cpu()) {
  if (device.kind() == Device::Kind::cuda) return cuda::runtime->reset_peak(device.index());
  detail::CachingAllocator::instance().reset_peak();
}
/// Gives cached blocks back to the system.
inline void release_cached_memory(Device device = Device::cpu()) {
  if (device.kind() == Device::Kind::cuda) return cuda::runtime->trim(device.index());
  detail::CachingAllocator::instance().trim();
}

/// Uninitialised memory for `count` objects of a trivial type, 64-byte aligned, returned to the cache at the
/// end of scope. Kernels take their scratch before a parallel region, one slice per worker, so that a step
/// always asks for the same sizes.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(detail::CachingAllocator::instance().allocate(bytes_))) {}
  ~Scratch() { detail::CachingAllocator::instance().release(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace gram
