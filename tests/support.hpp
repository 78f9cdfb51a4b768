// SPDX-License-Identifier: MIT
// What tests share: closeness, and the text of errors.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "gram/tensor/create.hpp"
#include "gram/tensor/gradcheck.hpp"
#include "gram/tensor/views.hpp"

namespace gram::test {

/// Largest |a - b| over all elements, divided by the largest |b| (or by 1 where that is smaller). Infinite
/// when the shapes differ or an element is not finite.
template <Scalar T>
double distance(const Tensor<T>& a, const Tensor<T>& b) {
  if (!(a.shape() == b.shape())) return HUGE_VAL;
  double difference = 0, largest = 1;
  for (Index i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (!std::isfinite(x) || !std::isfinite(y)) return HUGE_VAL;
    difference = std::max(difference, std::abs(x - y));
    largest = std::max(largest, std::abs(y));
  }
  return difference / largest;
}

template <Scalar T>
bool close(const Tensor<T>& a, const Tensor<T>& b, double tolerance) {
  return distance(a, b) <= tolerance;
}
template <Scalar T>
bool close(const Tensor<T>& a, std::initializer_list<std::type_identity_t<T>> values, double tolerance) {
  return static_cast<Index>(values.size()) == a.size() && close(a, Tensor<T>(a.shape(), values), tolerance);
}

/// True when the bits of all elements agree.
template <Element T>
bool identical(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0);
}

/// How often a test with random shapes repeats. Under sanitizers, which are slow and find in one shape of a
/// kind what they find in all, a fifth is enough.
constexpr int rounds(int count) {
#if defined(GRAM_SANITIZED)
  return count / 5;
#else
  return count;
#endif
}

/// The message of the gram::Error that f throws, or "" when it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace gram::test
