// SPDX-License-Identifier: MIT
// Compiles what docs/architecture.md shows: architecture.inl is extracted from the page when the tests are
// built.
#include "gram/nn/module.hpp"
#include "gram/ops/arithmetic.hpp"

#include "architecture.inl"
#include "support.hpp"

using namespace gram;

TEST_CASE("the operation of the architecture page is right") {
  CHECK(test::close(cube(Tensor<double>({3}, {-2, 0.5, 3})), {-8, 0.125, 27}, 0));
  CHECK(gradcheck([](const auto& x) { return cube(x); }, randn<double>({3, 5}, 1)) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return add(cube(x), cube(x)); }, randn<double>({1}, 2)) < 1e-6);
}

TEST_CASE("the layer of the architecture page has a named parameter that gets a gradient") {
  CubicScale<double> layer({.channels = 3});
  CHECK(parameter_count(layer) == 3);
  backward(layer(ones<double>({2, 3})), ones<double>({2, 3}));
  CHECK(test::close(layer.weight.grad(), {2, 2, 2}, 0));
}
