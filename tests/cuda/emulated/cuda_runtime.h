// SPDX-License-Identifier: MIT
// A stand-in for CUDA's <cuda_runtime.h>, so that the kernels of include/gram/cuda run on the CPU in tests:
// with this folder in front of the include path, g++ compiles the same sources. See fibers.hpp for what a
// launch does, device_memory.hpp for why host code cannot read device memory here either. Only what the
// library uses is declared.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "device_memory.hpp"
#include "fibers.hpp"
#include "observer.hpp"
#include "streams.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

using emulated::blockDim;
using emulated::blockIdx;
using emulated::dim3;
using emulated::gridDim;
using emulated::threadIdx;

inline void* emulated_dynamic_shared() { return emulated::dynamic_shared(); }

inline void __syncthreads() { emulated::block_barrier(); }
inline void __syncwarp(unsigned = 0xffffffffU) { emulated::warp_barrier(); }
inline void __threadfence() {}
template <class T>
T atomicAdd(T* sum, T value) {
  return std::exchange(*sum, *sum + value);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulated::exchange(value, emulated::lane() ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
  const int from = emulated::lane() + static_cast<int>(delta);
  return emulated::exchange(value, from < 32 ? from : emulated::lane());
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return emulated::exchange(value, from);
}
inline unsigned __ballot_sync(unsigned, bool set) { return emulated::ballot(set); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
template <class T>
T __ldg(const T* p) {
  return *p;
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidValue = 1,
  cudaErrorNoDevice = 100,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905
};
inline const char* cudaGetErrorString(cudaError_t e) {
  return e == cudaSuccess                         ? "no error"
         : e == cudaErrorMemoryAllocation         ? "out of memory"
         : e == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is capturing"
         : e == cudaErrorStreamCaptureUnjoined    ? "capture contains a stream that was not joined"
         : e == cudaErrorStreamCaptureIsolation ? "event of a capture that has ended, or from outside of one"
                                                : "invalid value";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

using cudaStream_t = emulated::Stream*;
using cudaEvent_t = emulated::Event*;
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone = 0, cudaStreamCaptureStatusActive = 1 };
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaDeviceProp {
  char name[256] = "CPU that runs CUDA kernels";
  int multiProcessorCount = 2;
};

inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) { return *p = {}, cudaSuccess; }
inline cudaError_t cudaDriverGetVersion(int* v) { return *v = 13000, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* v) { return *v = 13000, cudaSuccess; }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  return *s = new emulated::Stream, cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  return emulated::capturing(s) ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
inline cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
  *status = emulated::capturing(s) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t s) { return delete s, cudaSuccess; }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  return *e = new emulated::Event, cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
inline cudaError_t cudaEventDestroy(cudaEvent_t e) { return delete e, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  return emulated::record(e, s), cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) { return *ms = 1, cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  return emulated::wait(s, e) ? cudaSuccess : cudaErrorStreamCaptureIsolation;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

inline cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t s) {
  if (emulated::capturing(s)) return cudaErrorStreamCaptureUnsupported;
  *memory = emulated::DeviceMemory::instance().allocate(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t s) {
  if (emulated::capturing(s)) return cudaErrorStreamCaptureUnsupported;
  emulated::DeviceMemory::instance().release(memory);
  return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeHost(void* memory) { return std::free(memory), cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t s) {
  if (emulated::capturing(s) && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  emulated::submit(s, [=] {
    if (emulated::observer)
      emulated::observer->library({"copy", (kind == cudaMemcpyDeviceToDevice ? 2.0 : 1.0) * static_cast<double>(bytes), 0});
    const emulated::DeviceMemory::Access access;
    std::memmove(to, from, bytes);
  });
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t s) {
  emulated::submit(s, [=] {
    if (emulated::observer) emulated::observer->library({"fill", static_cast<double>(bytes), 0});
    const emulated::DeviceMemory::Access access;
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}

using cudaGraph_t = emulated::Graph*;
using cudaGraphExec_t = emulated::Graph*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1, cudaStreamCaptureModeRelaxed = 2 };
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  return emulated::begin_capture(s), cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  return (*graph = emulated::end_capture(s)) ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return *executable = new emulated::Graph(*graph), cudaSuccess;
}
inline cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  for (const auto& node : *graph) node();
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return delete graph, cudaSuccess; }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
  emulated::submit(config->stream, [c = *config, kernel, arguments...] {
    if (emulated::observer &&
        !emulated::observer->begin(reinterpret_cast<const void*>(kernel), c.gridDim, c.blockDim))
      return;
    const emulated::DeviceMemory::Access access;
    emulated::run(c.gridDim, c.blockDim, c.dynamicSmemBytes, [&] { kernel(arguments...); });
    if (emulated::observer) emulated::observer->end();
  });
  return cudaSuccess;
}
