// SPDX-License-Identifier: MIT
// Copies of batches to a device on a stream of their own; upload.hpp is what users see.
#pragma once
#include <cstring>

#include "gram/cuda/context.cuh"
#include "gram/cuda/upload.hpp"

namespace gram::cuda {

class UploadStages {
 public:
  UploadStages(Cuda device, std::size_t bytes) : device_(device), bytes_(bytes) {
    select(device);
    check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    for (Stage& stage : stages_) {
      check(cudaMallocHost(&stage.pinned, bytes), "page-locked memory");
      stage.memory = Context::of(device).memory().allocate(bytes);
      check(cudaEventCreateWithFlags(&stage.arrived, cudaEventDisableTiming), "cudaEventCreate");
      check(cudaEventCreateWithFlags(&stage.read, cudaEventDisableTiming), "cudaEventCreate");
      // The block may be one that work of the device still uses.
      check(cudaEventRecord(stage.read, stream(device)), "cudaEventRecord");
    }
  }
  ~UploadStages() {
    cudaStreamSynchronize(copies_);
    cudaStreamSynchronize(stream(device_));
    for (const Stage& stage : stages_) {
      cudaEventDestroy(stage.arrived);
      cudaEventDestroy(stage.read);
      cudaFreeHost(stage.pinned);
      Context::of(device_).memory().release(stage.memory, bytes_);
    }
    cudaStreamDestroy(copies_);
  }
  UploadStages(const UploadStages&) = delete;
  UploadStages& operator=(const UploadStages&) = delete;

  void copy(const void* from, void* to, std::size_t bytes) {
    require<ArgumentError>(bytes <= bytes_, "Upload::copy: ", bytes, " bytes, but there is room for ",
                           bytes_);
    Stage& stage = stages_[next_];
    next_ = 1 - next_;
    const cudaStream_t work = stream(device_);
    check(cudaEventSynchronize(stage.arrived), "upload");  // the page-locked memory is free
    std::memcpy(stage.pinned, from, bytes);
    check(cudaStreamWaitEvent(copies_, stage.read, 0), "upload");
    check(cudaMemcpyAsync(stage.memory, stage.pinned, bytes, cudaMemcpyHostToDevice, copies_), "upload");
    check(cudaEventRecord(stage.arrived, copies_), "upload");
    check(cudaStreamWaitEvent(work, stage.arrived, 0), "upload");
    check(cudaMemcpyAsync(to, stage.memory, bytes, cudaMemcpyDeviceToDevice, work), "upload");
    check(cudaEventRecord(stage.read, work), "upload");
  }

 private:
  struct Stage {
    void* pinned = nullptr;
    void* memory = nullptr;
    cudaEvent_t arrived = nullptr;  ///< the copy from the host is done
    cudaEvent_t read = nullptr;     ///< the copy within the device is done
  };

  Cuda device_;
  std::size_t bytes_;
  cudaStream_t copies_ = nullptr;
  Stage stages_[2];
  int next_ = 0;
};

inline void fill_in_upload_table() {
  upload_table = {[](int device, std::size_t bytes) -> void* { return new UploadStages({device}, bytes); },
                  [](void* upload, const void* from, void* to, std::size_t bytes) {
                    static_cast<UploadStages*>(upload)->copy(from, to, bytes);
                  },
                  [](void* upload) noexcept { delete static_cast<UploadStages*>(upload); }};
}

}  // namespace gram::cuda
