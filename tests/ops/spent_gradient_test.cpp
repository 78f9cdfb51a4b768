// SPDX-License-Identifier: MIT
// Operations whose gradient may be written over the gradient that they read.
#include <functional>
#include <vector>

#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/dropout.hpp"
#include "gram/ops/layer_norm.hpp"
#include "gram/ops/softmax.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

using Leaves = std::vector<Tensor<float>>;

/// Gradients of the leaves and of what f makes of them. `held`: dy belongs to the caller, so nothing may be
/// written over it; otherwise a product in between makes a gradient that nobody else holds.
Leaves gradients_of(const std::function<Tensor<float>(const Leaves&)>& f, const std::vector<Shape>& shapes,
                    bool held) {
  Leaves leaves;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    leaves.push_back(rand<float>(shapes[i], 0.5, 1.5, i + 1));
    leaves.back().set_requires_grad();
  }
  const auto y = f(leaves);
  const auto dy = randn<float>(y.shape(), 9), kept = dy.clone(), half = full(y.shape(), 0.5F);
  held ? backward(y, mul(dy, half)) : backward(mul(y, half), dy);
  CHECK(test::identical(dy, kept));
  Leaves gradients;
  for (const auto& leaf : leaves) gradients.push_back(leaf.grad());
  return gradients;
}

void check_spent(const std::function<Tensor<float>(const Leaves&)>& f, const std::vector<Shape>& shapes) {
  const auto expected = gradients_of(f, shapes, true), free = gradients_of(f, shapes, false);
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::identical(free[i], expected[i]));
}

}  // namespace

TEST_CASE("gradients of operations of one operand have the same bits in the memory of a spent gradient") {
  test::for_each_isa([] {
    for (const Shape& shape : {Shape{3}, Shape{2, 7, 16}, Shape{5, 33}, Shape{300, 300}}) {
      CAPTURE(to_text(shape));
      check_spent([](const Leaves& x) { return gelu(x[0]); }, {shape});
      check_spent([](const Leaves& x) { return relu(x[0]); }, {shape});
      check_spent([](const Leaves& x) { return sigmoid(x[0]); }, {shape});
      check_spent([](const Leaves& x) { return mul(x[0], 3); }, {shape});
      check_spent([](const Leaves& x) { return softmax(x[0]); }, {shape});
      check_spent([](const Leaves& x) { return softmax(x[0], 0); }, {shape});
      check_spent([](const Leaves& x) { return log_softmax(x[0]); }, {shape});
      check_spent(
          [](const Leaves& x) {
            Rng rng(3);
            return drop_path(dropout(x[0], 0.3, rng), 0.3, rng);
          },
          {shape});
      check_spent([](const Leaves& x) { return layer_norm(x[0], x[1], x[2], 1e-5); },
                  {shape, {shape[-1]}, {shape[-1]}});
    }
  });
}

TEST_CASE("gradients of both operands have the same bits in the memory of a spent gradient") {
  test::for_each_isa([] {
    const Shape whole{4, 5, 33};
    const std::vector<std::pair<Shape, Shape>> pairs{
        {whole, whole}, {whole, {33}}, {{33}, whole}, {whole, {4, 1, 1}}, {{4, 1, 33}, {5, 1}}};
    for (const auto& shapes : pairs) {
      const Shape &a = shapes.first, &b = shapes.second;  // clang++ 14 captures no structured binding
      CAPTURE(to_text(a));
      CAPTURE(to_text(b));
      check_spent([](const Leaves& x) { return add(x[0], x[1]); }, {a, b});
      check_spent([](const Leaves& x) { return sub(x[0], x[1]); }, {a, b});
      check_spent([](const Leaves& x) { return mul(x[0], x[1]); }, {a, b});
      check_spent([](const Leaves& x) { return div(x[0], x[1]); }, {a, b});
      check_spent([](const Leaves& x) { return maximum(x[0], x[1]); }, {a, b});
    }
    check_spent([](const Leaves& x) { return mul(x[0], x[0]); }, {whole});
    check_spent([](const Leaves& x) { return sub(mul(x[0], x[0]), x[0]); }, {whole});
  });
}
