// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/transpose.hpp"
#include "gram/kernels/box.hpp"

namespace gram::kernels {

/// y[n] = x[n] outside the box and x[N - 1 - n] inside. As a matrix this is symmetric: its own gradient.
template <class T>
void exchange_box(Cpu device, const Shape& shape, const TokenBox& box, const T* x, T* y, bool add) {
  const Index N = shape[0], H = shape[1], W = shape[2], C = shape[3], line = W * C, image = H * line;
  for (Index n = 0; n < N; ++n) {
    const auto take = [&](Index from, Index top, Index bottom, Index left, Index right) {
      const Index start = top * line + left * C;
      copy_runs(device, bottom - top, (right - left) * C, x + from * image + start, line,
                y + n * image + start, line, add);
    };
    take(n, 0, box.top, 0, W);
    take(n, box.top, box.bottom, 0, box.left);
    take(N - 1 - n, box.top, box.bottom, box.left, box.right);
    take(n, box.top, box.bottom, box.right, W);
    take(n, box.bottom, H, 0, W);
  }
}
inline void arrange_labels(Cpu, const std::int64_t* labels, Index n, Index times, bool reversed,
                           std::int64_t* y) {
  for (Index i = 0; i < n * times; ++i) y[i] = labels[reversed ? n - 1 - i / times : i / times];
}

}  // namespace gram::kernels
