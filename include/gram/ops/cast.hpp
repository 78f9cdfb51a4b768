// SPDX-License-Identifier: MIT
#pragma once
#include "gram/tensor/create.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// The values as elements of another type (to bf16: rounded to nearest); cast<float>(x). The gradient is cast
/// back.
template <Scalar To, Scalar From>
Tensor<To> cast(const Tensor<From>& x) {
  require<ArgumentError>(x.defined(), "cast: x is undefined");
  if constexpr (std::same_as<To, From>) {
    return x;
  } else {
    return record("cast", converted<To>(x), {x},
                  [dx = x.gradient()](const Tensor<To>& dy) { dx.add(converted<From>(dy)); });
  }
}

}  // namespace gram
