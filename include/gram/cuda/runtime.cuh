// SPDX-License-Identifier: MIT
// Fills in the part of the door that has nothing to do with kernels: core/cuda_runtime_door.hpp.
#pragma once
#include "gram/core/cuda_capture.hpp"
#include "gram/core/cuda_runtime_door.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

inline int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver is no error
  return 0;
}

/// "cuDNN 9.19.0", of the library that is loaded.
inline std::string cudnn_description();

inline std::string describe(int device) {
  const auto version = [](int number) { return text(number / 1000, ".", number % 1000 / 10); };
  int driver = 0, toolkit = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&toolkit);
  std::string name = "no device";
  cudaDeviceProp properties{};
  if (device < device_count() && cudaGetDeviceProperties(&properties, device) == cudaSuccess)
    name = properties.name;
  return text(name, ", CUDA ", version(toolkit), ", ", cudnn_description(), ", driver ", version(driver));
}

inline const Runtime runtime_functions{
    .devices = device_count,
    .allocate = [](int device, std::size_t bytes) { return Context::of({device}).memory().allocate(bytes); },
    .release = [](int device, void* memory,
                  std::size_t bytes) noexcept { Context::of({device}).memory().release(memory, bytes); },
    .copy =
        [](int device, const void* from, void* to, std::size_t bytes) {
          require_no_capture("copy between host and device");
          check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream({device})), "copy");
          check(cudaStreamSynchronize(stream({device})), "copy");
        },
    .copy_on_device =
        [](int device, const void* from, void* to, std::size_t bytes) {
          check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream({device})),
                "copy on the device");
        },
    .synchronize =
        [](int device) {
          require_no_capture("synchronize");
          check(cudaStreamSynchronize(stream({device})), "synchronize");
        },
    .stats = [](int device) { return Context::of({device}).memory().stats(); },
    .reset_peak = [](int device) { Context::of({device}).memory().reset_peak(); },
    .trim = [](int device) noexcept { Context::of({device}).memory().trim(); },
    .description = describe,
};

}  // namespace gram::cuda
