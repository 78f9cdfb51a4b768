// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <string_view>

#include "gram/core/cuda_runtime_door.hpp"
#include "gram/core/error.hpp"
#include "gram/core/names.hpp"

namespace gram {

/// Where a tensor's memory lies. A run-time value; kernels are overloads on the tag types below.
class Device {
 public:
  enum class Kind { cpu, cuda };

  static Device cpu() { return Device(Kind::cpu, 0); }
  /// The GPU number `index`. Throws DeviceError when no CUDA backend is part of the program (cuda_impl.cuh is
  /// its source, gram::cuda its CMake target), or when no such device answers.
  static Device cuda(int index = 0) {
    require<DeviceError>(cuda::runtime, "Device::cuda(", index,
                         "): this program has no CUDA backend; link gram::cuda");
    const int count = cuda::runtime->devices();
    require<DeviceError>(index >= 0 && index < count, "Device::cuda(", index, "): ", count,
                         " CUDA devices answer");
    return Device(Kind::cuda, index);
  }

  Kind kind() const { return kind_; }
  int index() const { return index_; }
  bool operator==(const Device&) const = default;

 private:
  Device(Kind kind, int index) : kind_(kind), index_(index) {}
  Kind kind_;
  int index_;
};

inline std::string to_text(Device device) {
  return device.kind() == Device::Kind::cpu ? "cpu" : text("cuda:", device.index());
}

/// The device of a command line: "cpu", "cuda" (the first GPU) or "cuda:1". Throws ArgumentError for other
/// texts, DeviceError as Device::cuda().
inline Device parse_device(std::string_view name) {
  if (name == "cpu") return Device::cpu();
  if (name == "cuda") return Device::cuda();
  int index = -1;
  if (name.starts_with("cuda:")) {
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), index);
    if (error != std::errc{} || end != name.data() + name.size()) index = -1;
  }
  require<ArgumentError>(index >= 0, "device ", printable(name), " is none of cpu, cuda, cuda:0, cuda:1, ..");
  return Device::cuda(index);
}

/// Tag that selects the kernels of the CPU: kernels::relu(Cpu{}, x, y, n).
struct Cpu {};

/// Tag that selects the kernels of a GPU.
struct Cuda {
  int index = 0;
};

/// Calls f with the tag of the device.
template <class F>
decltype(auto) on(Device device, F&& f) {
  return device.kind() == Device::Kind::cuda ? f(Cuda{device.index()}) : f(Cpu{});
}

/// Waits until everything that was started on the device is done. On the CPU nothing is ever left to wait
/// for.
inline void synchronize(Device device) {
  if (device.kind() == Device::Kind::cuda) cuda::runtime->synchronize(device.index());
}

}  // namespace gram
