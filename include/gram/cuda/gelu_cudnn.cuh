// SPDX-License-Identifier: MIT
// Linear maps with GELU by cuDNN, of bf16. Each function says whether it did the work; otherwise nothing has
// happened.
#pragma once
#include "gram/cuda/gelu_graph.cuh"
#include "gram/cuda/plan_cache.cuh"

namespace gram::cuda {

/// What cuDNN takes: rows of whole 16 bytes.
inline bool cudnn_takes_gelu(Index rows, Index in, Index out) {
  return rows > 0 && in > 0 && in % 8 == 0 && out > 0 && out % 8 == 0;
}

/// a = gelu(x W^T [+ b]), and in h, unless it is null, what the GELU is taken of.
inline bool cudnn_gelu_linear(Cuda device, Index rows, Index in, Index out, const bf16* x, const bf16* weight,
                              const bf16* bias, bf16* h, bf16* a) {
  if (!cudnn_takes_gelu(rows, in, out) || !are_aligned(x, weight, bias, h, a)) return false;
  std::vector<void*> pointers{operand(x), operand(weight)};
  if (bias) pointers.push_back(operand(bias));
  if (h) pointers.push_back(h);
  pointers.push_back(a);
  const PlanKey key{"gelu_linear", {rows, in, out, bias != nullptr, h != nullptr}};
  return run_plan(
      device, key, true, [&] { return gelu_linear_graph(rows, in, out, bias, h); }, pointers);
}
/// dh = (dy W) gelu'(h).
inline bool cudnn_gelu_linear_grad(Cuda device, Index rows, Index in, Index out, const bf16* dy,
                                   const bf16* weight, const bf16* h, bf16* dh) {
  if (!cudnn_takes_gelu(rows, in, out) || !are_aligned(dy, weight, h, dh)) return false;
  return run_plan(device, {"gelu_linear_grad", {rows, in, out}}, true,
                  [&] { return gelu_linear_grad_graph(rows, in, out); },
                  {operand(dy), operand(weight), operand(h), dh});
}

}  // namespace gram::cuda
