// SPDX-License-Identifier: MIT
// Class attention of all classifiers together, as host code calls it; class_attention.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/class_attention.hpp"

namespace gram::cuda {

template <class A>
struct ClassAttentionTable {
  void (*forward)(Cuda, const kernels::ClassAttentionShape& s, const A* x, const A* const* queries,
                  const kernels::ClassAttentionPointers<A>* weights, A* kept, A* out);
  void (*grad)(Cuda, const kernels::ClassAttentionShape& s, const kernels::ClassAttentionPointers<A>* weights,
               const A* kept, const A* dout, GradientSink<A> dx,
               const kernels::ClassAttentionSinks<A>* sinks);
};
template <class A>
inline ClassAttentionTable<A> class_attention_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class A>
void class_attention(Cuda device, const kernels::ClassAttentionShape& s, const A* x, const A* const* queries,
                     const kernels::ClassAttentionPointers<A>* weights, A* kept, A* out) {
  return cuda::class_attention_table<A>.forward(device, s, x, queries, weights, kept, out);
}
template <class A>
void class_attention_grad(Cuda device, const kernels::ClassAttentionShape& s,
                          const kernels::ClassAttentionPointers<A>* weights, const A* kept, const A* dout,
                          GradientSink<A> dx, const kernels::ClassAttentionSinks<A>* sinks) {
  return cuda::class_attention_table<A>.grad(device, s, weights, kept, dout, dx, sinks);
}

}  // namespace gram::kernels
