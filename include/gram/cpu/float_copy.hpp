// SPDX-License-Identifier: MIT
// How kernels of float serve bf16: operands are widened first, results are rounded once.
#pragma once
#include "gram/core/memory.hpp"
#include "gram/cpu/copy.hpp"

namespace gram::cpu {

/// A copy of n elements of a bf16 array in float; null for null.
class FloatCopy {
 public:
  FloatCopy(const bf16* x, Index n) : copy_(x ? n : 0), data_(x ? copy_.data() : nullptr) {
    if (x) kernels::convert(Cpu{}, x, data_, n);
  }
  const float* data() const { return data_; }

 private:
  Scratch<float> copy_;
  float* data_;
};

/// compute(float*) fills n floats, which become (or are added to) y.
template <class F>
void through_float(bf16* y, Index n, bool add, F&& compute) {
  Scratch<float> result(n);
  if (add) kernels::convert(Cpu{}, y, result.data(), n);
  compute(result.data());
  kernels::convert(Cpu{}, result.data(), y, n);
}

}  // namespace gram::cpu
