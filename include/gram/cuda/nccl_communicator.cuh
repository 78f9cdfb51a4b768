// SPDX-License-Identifier: MIT
// Sums over GPUs, for the .cu file of a program that links NCCL, beside cuda_impl.cuh. Written against
// NCCL 2.28 and compiled with nvcc 13; it has not been run on a GPU yet.
//
// All ranks get the same bits. The order of a sum is NCCL's: the same in every run on the same machine with
// the same settings, but not that of the ranks, and bf16 is rounded after every addition.
#pragma once
#include <nccl.h>

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

    select(device);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 1;
    checked(ncclCommInitRankConfig(&comm_, size(), id, rank(), &config), "ncclCommInitRankConfig");
    check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    check(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    for (Done& done : done_)
      check(cudaEventCreateWithFlags(&done.event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  /// After an error the other ranks may be gone: the operations in flight are given up.
  ~NcclCommunicator() override {
    if (broken_ || std::uncaught_exceptions() > exceptions_) {
      ncclCommAbort(comm_);
    } else {
      cudaStreamSynchronize(side_);
      ncclCommDestroy(comm_);
    }
    for (const Done& done : done_) cudaEventDestroy(done.event);
    cudaEventDestroy(ready_);
    cudaStreamDestroy(side_);
  }

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  /// The side stream joins a capture by the event that it waits for, and is joined by finish(). Graphs with
  /// operations of this communicator must be gone before it is.
  bool capturable() const override { return true; }

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
    select(device_);
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
    Done& done = done_[begun_ % done_.size()];
    done.number = begun_;
    check(cudaEventRecord(done.event, side_), "cudaEventRecord");
    return begun_;
  }

  /// The stream of the kernels waits, not the host. Where an event has been used again, for a later
  /// operation, it waits for that one. Operations on the host are over already.
  void finish(std::uint64_t number) override {
    check_background();
    const Done& done = done_[number % done_.size()];
    if (done.number >= number)
      check(cudaStreamWaitEvent(stream(device_), done.event, 0), "cudaStreamWaitEvent");
  }

  Cuda device_;
  Communicator& host_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t side_ = nullptr;
  cudaEvent_t ready_ = nullptr;
  struct Done {
    cudaEvent_t event = nullptr;
    std::uint64_t number = 0;  // of the operation on the GPU that it was recorded behind
  };
  std::array<Done, 64> done_{};
  std::uint64_t begun_ = 0;
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
