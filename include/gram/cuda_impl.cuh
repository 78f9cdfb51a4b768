// SPDX-License-Identifier: MIT
// All of the CUDA backend, for one .cu file of a program:
//     #include <gram/cuda_impl.cuh>
//     nvcc -std=c++20 -O1 --split-compile=0 -arch=sm_90 --expt-relaxed-constexpr -I include -c gram_cuda.cu
// (-O is for the little host code in it), which is linked with -lcublasLt -lcudnn. Everything else is
// compiled by an ordinary compiler and knows nothing of CUDA. Before main() starts this unit fills in the
// tables that host code calls through; with it Device::cuda() works.
#pragma once
#include "gram/cuda/tables.cuh"

namespace gram::cuda {

inline const bool registered = [] {
  fill_in_tables<float>();
  fill_in_tables<double>();
  fill_in_tables<bf16>();
  fill_in_other_tables();
  return true;
}();

}  // namespace gram::cuda
