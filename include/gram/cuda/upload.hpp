// SPDX-License-Identifier: MIT
// Copies of batches to a device that run beside its work. upload.cuh does what needs the CUDA runtime.
#pragma once
#include <utility>

#include "gram/core/cuda_capture.hpp"
#include "gram/core/device.hpp"

namespace gram::cuda {

struct UploadTable {
  void* (*make)(int device, std::size_t bytes);
  void (*copy)(void* upload, const void* from, void* to, std::size_t bytes);
  void (*destroy)(void* upload) noexcept;
};
inline UploadTable upload_table{};

/// Two staging areas in page-locked memory and two on the device: while the device works on one batch, the
/// next one is on its way.
class Upload {
 public:
  Upload() = default;
  /// For copies of up to so many bytes.
  Upload(Device device, std::size_t bytes) : upload_(upload_table.make(device.index(), bytes)) {}
  ~Upload() {
    if (upload_) upload_table.destroy(upload_);
  }
  Upload(Upload&& other) noexcept { *this = std::move(other); }
  Upload& operator=(Upload&& other) noexcept {
    std::swap(upload_, other.upload_);
    return *this;
  }

  /// Copies host memory to device memory. `from` may change when it returns; `to` is written behind what was
  /// started on the device before. Waits only for the copy before the last one.
  void copy(const void* from, void* to, std::size_t bytes) {
    require_no_capture("Upload::copy");
    upload_table.copy(upload_, from, to, bytes);
  }

 private:
  void* upload_ = nullptr;
};

}  // namespace gram::cuda
