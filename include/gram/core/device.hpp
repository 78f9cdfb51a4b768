// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/error.hpp"

namespace gram {

/// Where a tensor's memory lies. A run-time value; kernels are overloads on the tag types below.
class Device {
 public:
  enum class Kind { cpu, cuda };

  static Device cpu() { return Device(Kind::cpu, 0); }
  /// Throws DeviceError when no CUDA backend is part of the program.
  static Device cuda(int index = 0) {
    throw DeviceError(text("Device::cuda(", index, "): this program has no CUDA backend"));
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

/// Tag that selects the kernels of the CPU: kernels::relu(Cpu{}, x, y, n).
struct Cpu {};

/// Calls f with the tag of the device.
template <class F>
decltype(auto) on(Device device, F&& f) {
  if (device.kind() != Device::Kind::cpu) throw DeviceError(text("no kernels for device ", to_text(device)));
  return f(Cpu{});
}

}  // namespace gram
