// SPDX-License-Identifier: MIT
// The small network of reference.py: r = W x + b - y with loss r^2 / 2.
#pragma once
#include <cmath>
#include <vector>

#include "gram/optim/parameters.hpp"
#include "support.hpp"

namespace gram::test {

template <Scalar T>
struct Quadratic {
  Quadratic() {
    weight = generate<T>({3, 4}, [](Index i) { return std::sin(static_cast<double>(i + 1)); });
    bias = generate<T>({3}, [](Index i) { return 0.1 * static_cast<double>(i); });
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
  /// Weight decay for all parameters, as PyTorch does without groups.
  std::vector<NamedParameter<T>> parameters() const {
    return {{.name = "weight", .value = weight}, {.name = "bias", .value = bias, .decay_factor = 1}};
  }
  /// Sets the gradients of a step; the bias has none before step 3.
  void differentiate(int step) const {
    std::vector<T> x, y, dw, db;
    for (int i = 0; i < 4; ++i) x.push_back(static_cast<T>(std::sin(3.0 * step + i)));
    for (int o = 0; o < 3; ++o) {
      const double target = std::sin(5.0 * step + 2.0 * o);
      double r = static_cast<double>(bias.data()[o]) - target;
      for (std::size_t i = 0; i < 4; ++i)
        r += static_cast<double>(weight.data()[static_cast<std::size_t>(o) * 4 + i]) *
             static_cast<double>(x[i]);
      for (const T value : x) dw.push_back(static_cast<T>(r * static_cast<double>(value)));
      db.push_back(static_cast<T>(r));
    }
    weight.gradient().add(Tensor<T>({3, 4}, dw));
    if (step >= 3) bias.gradient().add(Tensor<T>({3}, db));
  }
  /// 20 steps; returns the weight and the bias behind one another.
  template <class Optimizer>
  Tensor<T> train(Optimizer& optimizer) const {
    for (int step = 0; step < 20; ++step) {
      optimizer.zero_grad();
      differentiate(step);
      optimizer.step();
    }
    return generate<T>({15}, [&](Index i) { return i < 12 ? weight.data()[i] : bias.data()[i - 12]; });
  }

  Tensor<T> weight, bias;
};

}  // namespace gram::test
