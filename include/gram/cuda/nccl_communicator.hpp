// SPDX-License-Identifier: MIT
// The communicator of GPUs, as host code makes it; nccl_communicator.cuh computes.
#pragma once
#include <memory>

#include "gram/core/communicator.hpp"

namespace gram {
namespace cuda {

/// Null in a program without nccl_communicator.cuh.
inline std::unique_ptr<Communicator> (*make_nccl_communicator)(Cuda, Communicator& host) = nullptr;

}  // namespace cuda

/// A communicator of processes with a GPU each, through NCCL: values in the memory of `device` are summed by
/// the GPUs, behind the kernels that were started before and beside those that come after; others go through
/// `host`, which the processes are connected by already and which must outlive the result. Throws DeviceError
/// for the CPU and in a program without NCCL, CommunicationError when NCCL does not start. All processes must
/// call it.
inline std::unique_ptr<Communicator> nccl_communicator(Device device, Communicator& host) {
  require<DeviceError>(device.kind() == Device::Kind::cuda, "nccl_communicator: ", device, " is no GPU");
  require<DeviceError>(
      cuda::make_nccl_communicator,
      "nccl_communicator: this program has no NCCL; include gram/cuda/nccl_communicator.cuh in its "
      ".cu file, and link nccl");
  return cuda::make_nccl_communicator(Cuda{device.index()}, host);
}

}  // namespace gram
