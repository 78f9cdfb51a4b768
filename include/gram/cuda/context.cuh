// SPDX-License-Identifier: MIT
// A device as the CUDA unit knows it: its stream and its memory. Work of a device is started by one thread at
// a time.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "gram/cuda/device.cuh"
#include "gram/cuda/memory.cuh"

namespace gram::cuda {

/// Makes a device the one that calls of this thread are for.
inline void select(Cuda device) {
  thread_local int current = -1;
  if (current == device.index) return;
  check(cudaSetDevice(device.index), "cudaSetDevice");
  current = device.index;
}

class Context {
 public:
  /// The context of a device, which is selected; made on first use, never destroyed: tensors in static
  /// storage may outlive any other object.
  static Context& of(Cuda device) {
    static std::mutex mutex;
    static auto* const contexts = new std::vector<std::unique_ptr<Context>>;
    const std::scoped_lock lock(mutex);
    const auto index = static_cast<std::size_t>(device.index);
    while (contexts->size() <= index) contexts->push_back(nullptr);
    auto& context = (*contexts)[index];
    select(device);
    if (!context) context.reset(new Context(device));
    return *context;
  }

  cudaStream_t stream() const { return stream_; }
  DeviceMemory& memory() { return *memory_; }
  Cuda device() const { return device_; }

 private:
  explicit Context(Cuda device) : device_(device) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    memory_ = std::make_unique<DeviceMemory>(device.index, stream_);
  }

  Cuda device_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<DeviceMemory> memory_;
};

inline cudaStream_t stream(Cuda device) { return Context::of(device).stream(); }

/// Whether what is started now becomes part of a graph.
inline bool capturing(Cuda device) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream(device), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

/// Device memory for `count` objects until the end of scope, for kernels that need room between two launches.
template <class T>
class DeviceScratch {
 public:
  DeviceScratch(Cuda device, Index count)
      : device_(device),
        bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(Context::of(device).memory().allocate(bytes_))) {}
  ~DeviceScratch() { Context::of(device_).memory().release(data_, bytes_); }
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;

  T* data() { return data_; }

 private:
  Cuda device_;
  std::size_t bytes_;
  T* data_;
};

}  // namespace gram::cuda
