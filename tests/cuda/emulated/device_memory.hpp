// SPDX-License-Identifier: MIT
// Memory of the stand-in device: a range of addresses that can be touched only while a kernel or a copy runs.
// Host code that reads or writes through a device pointer ends with a segmentation fault here, as it would
// with a GPU.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

namespace emulated {

class DeviceMemory {
 public:
  static constexpr std::size_t alignment = 4096;
  /// To be changed before the device is used first; memory that is not poisoned takes none of the machine's.
  inline static std::size_t capacity = std::size_t{4} << 30;
  inline static bool poisoned = true;

  static DeviceMemory& instance() {
    static DeviceMemory memory;
    return memory;
  }

  /// The block is filled with bytes that make NaN of every scalar: a value that no kernel wrote shows. Null
  /// when full.
  void* allocate(std::size_t bytes) {
    const std::size_t size =
        (bytes + alignment) / alignment * alignment;  // at least one byte more than asked for
    const auto list = free_.find(size);
    std::size_t at = used_;
    if (list != free_.end()) {
      at = list->second;
      free_.erase(list);
    } else if (used_ + size > capacity) {
      return nullptr;
    } else {
      used_ += size;
    }
    sizes_[at] = size;
    if (poisoned) {
      const Access access;
      std::memset(base_ + at, 0xff, size);
    }
    return base_ + at;
  }
  void release(void* memory) {
    const auto at = static_cast<std::size_t>(static_cast<std::uint8_t*>(memory) - base_);
    free_.emplace(sizes_.at(at), at);
  }

  bool holds(const void* p) const {
    const auto at = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(base_);
    return at < used_;
  }
  const std::uint8_t* base() const { return base_; }

  /// While one lives, device memory can be touched.
  struct Access {
    Access() {
      if (depth()++ == 0) instance().protect(PROT_READ | PROT_WRITE);
    }
    ~Access() {
      if (--depth() == 0) instance().protect(PROT_NONE);
    }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
    static int& depth() {
      static int depth = 0;
      return depth;
    }
  };

 private:
  /// In huge pages, or each launch would spend its time on changing the access of thousands of small ones.
  DeviceMemory() {
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    void* const memory =
        mmap(nullptr, capacity + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    base_ = reinterpret_cast<std::uint8_t*>((address + huge_page - 1) / huge_page * huge_page);
    madvise(base_, capacity, MADV_HUGEPAGE);
  }
  void protect(int access) const {
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    mprotect(base_, (used_ + huge_page - 1) / huge_page * huge_page, access);
  }

  std::uint8_t* base_ = nullptr;
  std::size_t used_ = 0;
  std::multimap<std::size_t, std::size_t> free_;
  std::map<std::size_t, std::size_t> sizes_;
};

}  // namespace emulated
