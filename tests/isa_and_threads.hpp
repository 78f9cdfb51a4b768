// SPDX-License-Identifier: MIT
// Runs a check on every instruction set of this machine, and with one thread and with several.
#pragma once
#include <vector>

#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"
#include "support.hpp"

namespace gram::test {

/// f() once for each instruction set.
template <class F>
void for_each_isa(F&& f) {
  const Isa before = isa();
  for (const Isa set : {Isa::base, Isa::avx2, Isa::avx512}) {
    if (set > cpu::best_isa()) continue;
    set_isa(set);
    CAPTURE(isa_name(set));
    f();
  }
  set_isa(before);
}

/// True when f() returns the same bits (a vector of tensors) with one thread, two and three.
template <class F>
bool same_for_any_threads(F&& f) {
  const int before = threads();
  set_threads(1);
  const auto expected = f();
  bool same = true;
  for (const int count : {2, 3}) {
    set_threads(count);
    const auto results = f();
    for (std::size_t i = 0; i < expected.size(); ++i) same = same && identical(results[i], expected[i]);
  }
  set_threads(before);
  return same;
}

/// Largest distance of the tensors that f() returns on any instruction set from those on the best one.
template <class F>
double isa_spread(F&& f) {
  const auto expected = f();
  double largest = 0;
  for_each_isa([&] {
    const auto results = f();
    for (std::size_t i = 0; i < expected.size(); ++i)
      largest = std::max(largest, distance(results[i], expected[i]));
  });
  return largest;
}

/// Gradient of sum <f(x), random weights> with respect to x.
template <class F, Scalar T>
Tensor<T> gradient_of(F&& f, const Tensor<T>& x) {
  Tensor<T> leaf = x.clone();
  leaf.set_requires_grad();
  const auto y = f(leaf);
  backward(y, randn<T>(y.shape(), 99));
  return leaf.grad();
}

}  // namespace gram::test
