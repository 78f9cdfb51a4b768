// SPDX-License-Identifier: MIT
// Capture and replay of CUDA graphs; graph.hpp is what users see.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/cuda/graph.hpp"

namespace gram::cuda {

/// A graph that can be launched, and the memory that its kernels use.
struct CapturedGraph {
  cudaGraphExec_t executable = nullptr;
  std::unique_ptr<PrivateBlocks> memory;
};

inline void begin_graph(int device) {
  Context& context = Context::of({device});
  context.memory().begin_private();
  const cudaError_t status = cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal);
  if (status != cudaSuccess) {
    context.memory().end_private(context.memory().take_private());
    check(status, "begin of a capture");
  }
}

inline void abandon_graph(int device) noexcept {
  Context& context = Context::of({device});
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(context.stream(), &graph);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();  // the next call must not report it again
  context.memory().end_private(context.memory().take_private());
}

inline void* end_graph(int device) {
  Context& context = Context::of({device});
  cudaGraph_t graph = nullptr;
  auto captured = std::make_unique<CapturedGraph>();
  cudaError_t status = cudaStreamEndCapture(context.stream(), &graph);
  captured->memory = context.memory().take_private();
  if (status == cudaSuccess) {
    status = cudaGraphInstantiate(&captured->executable, graph, 0);
    cudaGraphDestroy(graph);
  }
  if (status == cudaSuccess) status = cudaGraphUpload(captured->executable, context.stream());
  if (status != cudaSuccess) {
    cudaGetLastError();
    if (captured->executable) cudaGraphExecDestroy(captured->executable);
    context.memory().end_private(std::move(captured->memory));
    check(status, "capture of a graph");
  }
  return captured.release();
}

inline void launch_graph(int device, void* graph) {
  check(cudaGraphLaunch(static_cast<CapturedGraph*>(graph)->executable, stream({device})),
        "launch of a graph");
}

inline void destroy_graph(int device, void* graph) noexcept {
  const std::unique_ptr<CapturedGraph> captured(static_cast<CapturedGraph*>(graph));
  cudaStreamSynchronize(stream({device}));  // a replay may still run
  cudaGraphExecDestroy(captured->executable);
  Context::of({device}).memory().end_private(std::move(captured->memory));
}

static __global__ void write_words_kernel(std::uint64_t* to, LiveWords words, unsigned count) {
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) to[i] = words.word[i];
}
/// The words travel with the launch, so that the caller may change them at once.
inline void write_words(int device, std::uint64_t* to, const LiveWords& words, std::size_t count) {
  launch({device}, write_words_kernel, 1, 448, 0, to, words, static_cast<unsigned>(count));
}

inline void fill_in_graph_table() {
  graph_table = {begin_graph, end_graph, abandon_graph, launch_graph, destroy_graph, write_words};
}

}  // namespace gram::cuda
