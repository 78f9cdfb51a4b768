// SPDX-License-Identifier: MIT
#pragma once
#include <memory>

#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"

namespace gram::detail {

/// One block of memory, shared by the tensors that view it.
class Storage {
 public:
  Storage(std::size_t bytes, Device device) : device_(device), bytes_(bytes) {
    data_ = device.kind() == Device::Kind::cuda ? cuda::runtime->allocate(device.index(), bytes)
                                                : CachingAllocator::instance().allocate(bytes);
  }
  ~Storage() {
    device_.kind() == Device::Kind::cuda ? cuda::runtime->release(device_.index(), data_, bytes_)
                                         : CachingAllocator::instance().release(data_, bytes_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  Device device_;
  std::size_t bytes_;
  void* data_;
};

}  // namespace gram::detail
