// SPDX-License-Identifier: MIT
// Sums over GPUs, for the .cu file of a program that links NCCL, beside cuda_impl.cuh. Written against
// NCCL 2.28 and compiled with nvcc 13; it has not been run on a GPU yet.
//
// All ranks get the same bits. The order of a sum is NCCL's: the same in every run on the same machine with
// the same settings, but not that of the ranks, and bf16 is rounded after every addition.
#pragma once
#include <nccl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <exception>

#include "gram/cuda/context.cuh"
#include "gram/cuda/nccl_communicator.hpp"

namespace gram::cuda {

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Cuda device, Communicator& host) : device_(device), host_(host) {
    using Words = std::array<std::int64_t, sizeof(ncclUniqueId) / sizeof(std::int64_t)>;
    ncclUniqueId id{};
    if (rank() == 0) checked(ncclGetUniqueId(&id), "ncclGetUniqueId");
    auto words = std::bit_cast<Words>(id);
    host.broadcast(words.data(), static_cast<Index>(words.size()));
    id = std::bit_cast<ncclUniqueId>(words);

    check(cudaSetDevice(device.index), "cudaSetDevice");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 1;
    checked(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config), "ncclCommInitRankConfig");
    check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    check(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    for (cudaEvent_t& event : done_)
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  /// After an error the other ranks may be gone: the operations in flight are given up.
  ~NcclCommunicator() override {
    if (broken_ || std::uncaught_exceptions() > exceptions_) {
      ncclCommAbort(comm_);
    } else {
      cudaStreamSynchronize(side_);
      ncclCommDestroy(comm_);
    }
    for (cudaEvent_t event : done_) cudaEventDestroy(event);
    cudaEventDestroy(ready_);
    cudaStreamDestroy(side_);
  }

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }

 private:
  void checked(ncclResult_t result, const char* call) {
    if (result == ncclSuccess) return;
    broken_ = true;
    throw CommunicationError(
        text(call, " on rank ", rank(), ": ", ncclGetErrorString(result), "; ", ncclGetLastError(comm_)));
  }
  /// NCCL finds out in the background that another rank is gone.
  void check_background() {
    ncclResult_t state = ncclSuccess;
    checked(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
    checked(state, "an operation in the background");
  }

  static ncclDataType_t nccl_type(Type type) {
    return type == Type::float32    ? ncclFloat32
           : type == Type::float64  ? ncclFloat64
           : type == Type::bfloat16 ? ncclBfloat16
                                    : ncclInt64;
  }

  std::uint64_t start(const Message& message) override {
    ++begun_;
    if (message.device == Device::cpu()) {
      with_type(message.type, [&]<class T>(T*) {
        T* const values = static_cast<T*>(message.values);
        if (message.kind == Kind::sum)
          host_.all_reduce(values, message.count);
        else
          host_.broadcast(values, message.count, message.root);
      });
      return begun_;
    }
    require<DeviceError>(message.device.index() == device_.index, "NcclCommunicator: values are on ",
                         message.device, ", but this is the communicator of cuda:", device_.index);
    check_background();
    check(cudaSetDevice(device_.index), "cudaSetDevice");
    check(cudaEventRecord(ready_, stream(device_)), "cudaEventRecord");
    check(cudaStreamWaitEvent(side_, ready_, 0), "cudaStreamWaitEvent");
    const auto count = static_cast<std::size_t>(message.count);
    if (message.kind == Kind::sum)
      checked(ncclAllReduce(message.values, message.values, count, nccl_type(message.type), ncclSum, comm_,
                            side_),
              "ncclAllReduce");
    else
      checked(ncclBroadcast(message.values, message.values, count, nccl_type(message.type), message.root,
                            comm_, side_),
              "ncclBroadcast");
    last_ = begun_;
    check(cudaEventRecord(done_[last_ % done_.size()], side_), "cudaEventRecord");
    return begun_;
  }

  /// The stream of the kernels waits, not the host. Where an event has been used again, for a later
  /// operation, it waits for that one.
  void finish(std::uint64_t number) override {
    check_background();
    if (last_ > 0)
      check(cudaStreamWaitEvent(stream(device_), done_[std::min(number, last_) % done_.size()], 0),
            "cudaStreamWaitEvent");
  }

  Cuda device_;
  Communicator& host_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t side_ = nullptr;
  cudaEvent_t ready_ = nullptr;
  std::array<cudaEvent_t, 64> done_{};
  std::uint64_t begun_ = 0, last_ = 0;  // operations; the last one on the GPU
  bool broken_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

inline const bool nccl_registered = [] {
  make_nccl_communicator = [](Cuda device, Communicator& host) -> std::unique_ptr<Communicator> {
    return std::make_unique<NcclCommunicator>(device, host);
  };
  return true;
}();

}  // namespace gram::cuda
