// SPDX-License-Identifier: MIT
// The CUDA unit of a program, compiled for the stand-in device.
#include "gram/cuda/nccl_communicator.cuh"
#include "gram/cuda_impl.cuh"
