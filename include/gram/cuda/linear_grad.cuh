// SPDX-License-Identifier: MIT
// The gradients of weight and bias of a linear map. cuBLASLt can sum dy for the bias while it reads dy for
// the weight, where nothing is added to what is there; that is done where it is measured to be faster than to
// read dy once more.
#pragma once
#include "gram/cuda/gemm.cuh"
#include "gram/cuda/linear_grad.hpp"
#include "gram/cuda/reduce.cuh"

namespace gram::cuda {

template <class T>
void linear_grad_weight(Cuda device, Index rows, Index in, Index out, Index groups, const T* dy, const T* x,
                        GradientSink<T> dw, GradientSink<T> db) {
  const Index i = in / groups, o = out / groups;
  const GemmArguments<T, T> product{{o, i, rows}, {groups, o, i, i * o}, dy, x, dw.data, out, in, i, true,
                                    false,        {.add = dw.add}};
  const auto in_two = [&] {
    if (dw)
      gemm_batched(device, product.batch, product.shape, dy, out, true, x, in, false, dw.data, i,
                   {.add = dw.add});
    if (db) sum_rows(device, rows, out, dy, db.data, db.add);
    return true;
  };
  const auto in_one = [&] { return gemm_with_row_sums(device, product, db.data); };
  const PlanKey key{"gradients of weight and bias in one",
                    {static_cast<Index>(sizeof(T)), rows, in, out, tf32()}};
  if (dw && db && groups == 1 && !dw.add && !db.add && !is_small(product) &&
      first_is_faster(device, key, in_one, in_two) && in_one())
    return;
  in_two();
}

template <class T>
void fill_in_linear_grad_tables() {
  linear_grad_table<T> = {linear_grad_weight<T>};
}

}  // namespace gram::cuda
