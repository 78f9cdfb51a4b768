// SPDX-License-Identifier: MIT
// The CUDA unit for the stand-in device, in a library of its own that calls a function at every access to
// memory (-fsanitize=kernel-address; count.cpp has the functions).
#include "gram/cuda_impl.cuh"
