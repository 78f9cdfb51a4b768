// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/cpu/sum_rows.hpp"

namespace gram::kernels {

/// The gradients of weight and bias of y = x W^T + b in groups: with dy (rows, out) and x (rows, in),
///     dW (out, in / groups) (+)= dy^T x    of each group,    db (out) (+)= sum over rows of dy.
/// Either sink may be null.
template <class T>
void linear_grad_weight(Cpu device, Index rows, Index in, Index out, Index groups, const T* dy, const T* x,
                        GradientSink<T> dw, GradientSink<T> db) {
  const Index i = in / groups, o = out / groups;
  if (dw)
    gemm_batched(device, {groups, o, i, i * o}, {o, i, rows}, dy, out, true, x, in, false, dw.data, i,
                 {.add = dw.add});
  if (db) sum_rows(device, rows, out, dy, db.data, db.add);
}

}  // namespace gram::kernels
