// SPDX-License-Identifier: MIT
// What every kernel file needs: launching, checking, moving values between memory and the type sums are made
// in, sums over a warp and over a block. Kernels are templates or static, plain C++ over pointers; they are
// launched by launch(), never by <<< >>>, so that tests can run them on the CPU with another <cuda_runtime.h>
// in front.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"
#include "gram/cuda/qualifier.hpp"

namespace gram::cuda {

/// Throws DeviceError with what was attempted unless a call of the CUDA runtime succeeded.
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw DeviceError(text("cuda: ", what, ": ", cudaGetErrorString(status)));
}

/// The stream that all work of a device is started on, in order; selects the device.
cudaStream_t stream(Cuda device);

/// Starts a kernel on the device's stream. blocks and threads are counts or dim3; `shared` bytes of dynamic
/// shared memory are what dynamic_shared<T>() returns in the kernel. Nothing happens when there are no
/// blocks.
template <class... Parameters, class... Arguments>
void launch(Cuda device, void (*kernel)(Parameters...), dim3 blocks, dim3 threads, std::size_t shared,
            Arguments... arguments) {
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
  const cudaStream_t on = stream(device);  // selects the device, which the attribute belongs to
  if (shared > 48 * 1024)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
          "shared memory of a kernel");
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared;
  config.stream = on;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), "launch of a kernel");
}

inline constexpr int warp_size = 32;
/// Threads of a block unless a kernel says otherwise.
inline constexpr int block_threads = 256;

/// Blocks for a loop over n items that strides by the grid: enough to fill the device several times over.
inline unsigned grid_blocks(Index n, Index per_block = block_threads) {
  constexpr Index most = 132 * 16;
  const Index blocks = ceil_div(n, per_block);
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

#if defined(__CUDACC__)
/// In front of a loop over an array that has to stay in registers.
#define GRAM_UNROLL _Pragma("unroll")
/// Shared memory whose size is given at launch.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char gram_dynamic_shared[];
  return reinterpret_cast<T*>(gram_dynamic_shared);
}
#else
#define GRAM_UNROLL
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulated_dynamic_shared());
}
#endif

/// The first item of this thread and the step to its next one, in a loop over all items of a grid.
GRAM_DEVICE Index first_item() { return static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; }
GRAM_DEVICE Index item_step() { return static_cast<Index>(gridDim.x) * blockDim.x; }

/// A value in the type that sums are made in.
template <class T>
GRAM_DEVICE accum_t<T> wide(T value) {
  return static_cast<accum_t<T>>(value);
}
/// A sum in the type it is stored as, rounded to nearest even.
template <class T>
GRAM_DEVICE T narrow(accum_t<T> value) {
  if constexpr (std::same_as<T, bf16>) {
#if defined(__CUDA_ARCH__)
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    bf16 rounded;
    rounded.bits = bits;
    return rounded;
#else
    return bf16(value);
#endif
  } else {
    return value;
  }
}

/// N neighbours that are read and written by one instruction; memory must be aligned to N elements.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};
/// Elements of 16 bytes.
template <class T>
inline constexpr int pack_size = 16 / static_cast<int>(sizeof(T));

/// Sum over the lanes of a warp, the same bits in every lane; all lanes must take part.
template <class A>
GRAM_DEVICE A warp_sum(A value) {
  for (int distance = warp_size / 2; distance; distance /= 2)
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  return value;
}
/// Largest over the lanes of a warp; NaN wins.
template <class A>
GRAM_DEVICE A warp_max(A value) {
  for (int distance = warp_size / 2; distance; distance /= 2) {
    const A other = __shfl_xor_sync(0xffffffffU, value, distance);
    value = other > value || other != other ? other : value;
  }
  return value;
}

/// Sum over a block of up to 1024 threads in a fixed order, the same bits in every thread. `scratch` is
/// shared memory for 32 values; all threads must take part, and may reuse it after the next __syncthreads().
template <class A>
GRAM_DEVICE A block_sum(A value, A* scratch) {
  const unsigned thread = threadIdx.x + threadIdx.y * blockDim.x, threads = blockDim.x * blockDim.y;
  value = warp_sum(value);
  if (thread % warp_size == 0) scratch[thread / warp_size] = value;
  __syncthreads();
  const unsigned warps = (threads + warp_size - 1) / warp_size;
  A total = 0;
  for (unsigned i = 0; i < warps; ++i) total += scratch[i];
  __syncthreads();
  return total;
}
template <class A>
GRAM_DEVICE A block_max(A value, A* scratch) {
  const unsigned thread = threadIdx.x + threadIdx.y * blockDim.x, threads = blockDim.x * blockDim.y;
  value = warp_max(value);
  if (thread % warp_size == 0) scratch[thread / warp_size] = value;
  __syncthreads();
  const unsigned warps = (threads + warp_size - 1) / warp_size;
  A total = scratch[0];
  for (unsigned i = 1; i < warps; ++i)
    total = scratch[i] > total || scratch[i] != scratch[i] ? scratch[i] : total;
  __syncthreads();
  return total;
}

}  // namespace gram::cuda
