// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/core/communicator.hpp"
#include "gram/core/cuda_capture.hpp"

namespace gram {

/// Processes with a GPU each on a machine without NCCL: values of a GPU are copied to the host, go through
/// the communicator of the host, and are copied back; the order of the sums is that of the ranks. Every
/// operation waits for the device, and none can be part of a CUDA graph. Values of the host go through
/// unchanged. `host` must outlive this object.
class StagedCommunicator final : public Communicator {
 public:
  explicit StagedCommunicator(Communicator& host) : host_(host) {}
  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }

 private:
  std::uint64_t start(const Message& message) override {
    if (message.device == Device::cpu()) {
      perform(message, message.values);
      return 1;
    }
    require<DeviceError>(!cuda::current_capture, "StagedCommunicator: values of ", message.device,
                         " go through the host, which no CUDA graph can do; turn graphs off, or use "
                         "nccl_communicator()");
    const std::size_t bytes = static_cast<std::size_t>(message.count) * element_bytes(message.type);
    if (stage_.size() < bytes) stage_.resize(bytes);  // from operator new: aligned for every type
    cuda::runtime->copy(message.device.index(), message.values, stage_.data(), bytes);
    perform(message, stage_.data());
    cuda::runtime->copy(message.device.index(), stage_.data(), message.values, bytes);
    return 1;
  }
  void finish(std::uint64_t) override {}

  void perform(const Message& message, void* values) {
    with_type(message.type, [&]<class T>(T*) {
      if (message.kind == Kind::sum)
        host_.all_reduce(static_cast<T*>(values), message.count);
      else
        host_.broadcast(static_cast<T*>(values), message.count, message.root);
    });
  }

  Communicator& host_;
  std::vector<std::byte> stage_;
};

}  // namespace gram
