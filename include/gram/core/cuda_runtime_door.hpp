// SPDX-License-Identifier: MIT
// The part of the door to CUDA that has nothing to do with kernels: devices and their memory. A program's
// CUDA unit (cuda_impl.cuh) fills it in before main() starts; in a program without one it stays empty.
#pragma once
#include <cstddef>
#include <string>

#include "gram/core/memory_stats.hpp"

namespace gram::cuda {

struct Runtime {
  /// How many devices answer. Never throws.
  int (*devices)();
  /// Device memory, 256-byte aligned, from a cache. Throws MemoryError: asked, held, cached.
  void* (*allocate)(int device, std::size_t bytes);
  void (*release)(int device, void* memory, std::size_t bytes) noexcept;
  /// Copies between any two of host and device memory, behind what was started on the device before. Host
  /// memory may be reused, or read, when it returns.
  void (*copy)(int device, const void* from, void* to, std::size_t bytes);
  /// Copies within a device, in its order; nothing waits.
  void (*copy_on_device)(int device, const void* from, void* to, std::size_t bytes);
  void (*synchronize)(int device);
  MemoryStats (*stats)(int device);
  void (*reset_peak)(int device);
  void (*trim)(int device) noexcept;
  /// "NVIDIA H200, CUDA 13.0, cuDNN 9.19.0, driver 13.0" of a device; without one: the versions alone.
  std::string (*description)(int device);
};

/// Null without a CUDA unit.
inline const Runtime* runtime = nullptr;

}  // namespace gram::cuda
