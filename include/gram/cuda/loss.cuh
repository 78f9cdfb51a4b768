// SPDX-License-Identifier: MIT
// The losses and their gradients, for the table of cuda/loss.hpp.
#pragma once
#include "gram/cuda/cross_entropy.cuh"
#include "gram/cuda/decorrelation.cuh"
#include "gram/cuda/pointwise_loss.cuh"

namespace gram::cuda {

template <class T>
void fill_in_loss_tables() {
  loss_table<T> = {label_loss<T>,          soft_loss<T>,     label_loss_grad<T>,
                   soft_loss_grad<T>,      target_grad<T>,   pointwise_loss<T>,
                   pointwise_loss_grad<T>, decorrelation<T>, decorrelation_grad<T>};
}

}  // namespace gram::cuda
