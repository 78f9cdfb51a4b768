// SPDX-License-Identifier: MIT
// The door to CUDA as host code sees it: functions over plain pointers that call through tables. A program's
// CUDA unit (cuda_impl.cuh, compiled by nvcc) fills the tables in; without one they stay empty, and
// Device::cuda() throws.
#pragma once
#include "gram/cuda/attention.hpp"
#include "gram/cuda/augment.hpp"
#include "gram/cuda/average.hpp"
#include "gram/cuda/batch_norm.hpp"
#include "gram/cuda/class_attention.hpp"
#include "gram/cuda/conv2d.hpp"
#include "gram/cuda/copy.hpp"
#include "gram/cuda/covariance.hpp"
#include "gram/cuda/dropout.hpp"
#include "gram/cuda/elementwise.hpp"
#include "gram/cuda/explicit_attention.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/gram.hpp"
#include "gram/cuda/graph.hpp"
#include "gram/cuda/index.hpp"
#include "gram/cuda/layer_norm.hpp"
#include "gram/cuda/loss.hpp"
#include "gram/cuda/normalize.hpp"
#include "gram/cuda/optimizer.hpp"
#include "gram/cuda/permute.hpp"
#include "gram/cuda/pool.hpp"
#include "gram/cuda/reduce.hpp"
#include "gram/cuda/resize.hpp"
#include "gram/cuda/softmax.hpp"
