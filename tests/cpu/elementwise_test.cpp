// SPDX-License-Identifier: MIT
#include "gram/cpu/elementwise.hpp"

#include <vector>

#include "gram/ops/elementwise.hpp"
#include "isa_and_threads.hpp"

using namespace gram;
using kernels::Binary;
using kernels::BinaryGrad;
using kernels::Broadcast;

namespace {

struct Case {
  Shape a, b;
};

/// Same shape, scalars, biases, per-sample channels, rows, outer products, many axes, vectors and tiles with
/// remainders, empty.
const std::vector<Case> cases{{{}, {}},
                              {{7}, {7}},
                              {{3, 5}, {3, 5}},
                              {{3, 37}, {37}},
                              {{4, 3, 3, 18}, {18}},
                              {{4, 3, 5, 18}, {4, 1, 1, 18}},
                              {{4, 3, 5, 18}, {3, 5, 18}},
                              {{4, 6, 10}, {4, 6, 1}},
                              {{4, 6, 10}, {6, 1}},
                              {{5, 1}, {1, 9}},
                              {{2, 1, 3, 1, 2, 1, 3, 1}, {1, 3, 1, 2, 1, 3, 1, 5}},
                              {{3, 1, 4}, {1, 2, 1}},
                              {{}, {2, 3}},
                              {{700, 3}, {3}},
                              {{0}, {1}},
                              {{2, 0, 3}, {2, 1, 3}},
                              {{0, 3}, {3}}};

/// Offset in an operand of shape `from` of element i of the result of shape `y`.
Index source(const Shape& y, const Shape& from, Index i) {
  Index offset = 0, step = 1;
  for (int axis = 1; axis <= from.rank(); ++axis) {
    const Index k = i % y[-axis];
    i /= y[-axis];
    offset += from[-axis] == 1 ? 0 : k * step;
    step *= from[-axis];
  }
  return offset;
}

double naive(Binary op, double a, double b) {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::sub:
      return a - b;
    case Binary::mul:
      return a * b;
    case Binary::div:
      return a / b;
    case Binary::minimum:
      return a < b ? a : b;
    default:
      return a > b ? a : b;
  }
}

double naive_grad(BinaryGrad op, double mine, double other, double dy) {
  switch (op) {
    case BinaryGrad::pass:
      return dy;
    case BinaryGrad::negate:
      return -dy;
    case BinaryGrad::times:
      return dy * other;
    case BinaryGrad::over:
      return dy / other;
    case BinaryGrad::under:
      return -dy * other / (mine * mine);
    case BinaryGrad::minimum:
      return mine < other ? dy : mine == other ? dy / 2 : 0;
    default:
      return mine > other ? dy : mine == other ? dy / 2 : 0;
  }
}

template <Scalar T>
void check_binary(const Case& c, double tolerance) {
  const Shape shape = broadcast_shape("test", c.a, c.b);
  CAPTURE(to_text(c.a) + " " + to_text(c.b) + " " + type_name<T>());
  const auto a = rand<T>(c.a, 1, 2, 1), b = rand<T>(c.b, 1, 2, 2), dy = randn<T>(shape, 3);
  const auto in_a = generate<std::int64_t>(shape, [&](Index i) { return source(shape, c.a, i); });
  const auto in_b = generate<std::int64_t>(shape, [&](Index i) { return source(shape, c.b, i); });
  // the operands and dy as doubles, at the size of the result
  const auto wide_a = generate<double>(shape, [&](Index i) { return a.data()[in_a.data()[i]]; });
  const auto wide_b = generate<double>(shape, [&](Index i) { return b.data()[in_b.data()[i]]; });
  for (const Binary op :
       {Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::minimum, Binary::maximum}) {
    Tensor<T> y(shape);
    kernels::binary(Cpu{}, op, Broadcast(shape, c.a, c.b), a.data(), b.data(), y.data());
    const auto expected =
        generate<T>(shape, [&](Index i) { return naive(op, wide_a.data()[i], wide_b.data()[i]); });
    CHECK(test::close(y, expected, tolerance));
  }
  for (const BinaryGrad op : {BinaryGrad::pass, BinaryGrad::negate, BinaryGrad::times, BinaryGrad::over,
                              BinaryGrad::under, BinaryGrad::minimum, BinaryGrad::maximum}) {
    auto sums = zeros<double>(c.b);
    for (Index i = 0; i < shape.size(); ++i)
      sums.data()[in_b.data()[i]] +=
          naive_grad(op, wide_b.data()[i], wide_a.data()[i], static_cast<double>(dy.data()[i]));
    const Broadcast layout(shape, c.b, c.a);
    auto dx = full<T>(c.b, T(NAN));
    kernels::binary_grad(Cpu{}, op, layout, b.data(), a.data(), dy.data(), dx.data(), false);
    CHECK(test::close(dx, converted<T>(sums), tolerance));
    for (double& sum : sums.span()) sum += 0.5;
    dx = full<T>(c.b, T(0.5F));
    kernels::binary_grad(Cpu{}, op, layout, b.data(), a.data(), dy.data(), dx.data(), true);
    CHECK(test::close(dx, converted<T>(sums), tolerance));
  }
}

}  // namespace

TEST_CASE("binary kernels agree with a loop over elements for all ways of broadcasting") {
  for (const auto& [a, b] : cases) {
    check_binary<double>({a, b}, 1e-12);
    check_binary<double>({b, a}, 1e-12);
    check_binary<float>({a, b}, 1e-5);
    check_binary<bf16>({a, b}, 1e-2);
  }
}

TEST_CASE("binary kernels agree with a loop over elements across blocks") {
  for (const auto& [a, b] : {Case{{1}, {100000}}, Case{{2, 70000}, {70000}}, Case{{2, 70000}, {2, 1}}}) {
    check_binary<float>({a, b}, 1e-5);
    check_binary<double>({b, a}, 1e-12);
  }
}

TEST_CASE("every instruction set agrees with the loop over elements") {
  test::for_each_isa([] {
    for (const auto& [a, b] : cases) {
      check_binary<double>({a, b}, 1e-12);
      check_binary<float>({b, a}, 1e-5);
    }
    check_binary<bf16>({{3, 5, 37}, {37}}, 1e-2);
  });
}

TEST_CASE("gradients summed over repeated axes do not depend on threads") {
  const Shape y{40, 13, 13, 24};
  const auto a = randn<float>(y, 1), dy = randn<float>(y, 2);
  for (const Shape& shape :
       {Shape{24}, Shape{40, 1, 1, 24}, Shape{1}, Shape{40, 13, 13, 1}, Shape{13, 1, 24}}) {
    const auto b = randn<float>(shape, 3);
    CHECK(test::same_for_any_threads([&] {
      Tensor<float> dx(shape);
      kernels::binary_grad(Cpu{}, BinaryGrad::times, Broadcast(y, shape, y), b.data(), a.data(), dy.data(),
                           dx.data(), false);
      return std::vector{dx};
    }));
  }
}

TEST_CASE("a long sum of floats keeps its digits") {
  const Index n = 1 << 22;
  const auto dy = full<float>({n}, 0.1F), x = ones<float>({1});
  Tensor<float> dx({1});
  kernels::binary_grad(Cpu{}, BinaryGrad::pass, Broadcast(dy.shape(), x.shape(), dy.shape()), x.data(),
                       dy.data(), dy.data(), dx.data(), false);
  CHECK(dx.item() == doctest::Approx(static_cast<double>(0.1F) * static_cast<double>(n)).epsilon(1e-6));
}

TEST_CASE("neighbouring axes that lie alike are joined") {
  CHECK(Broadcast({8, 7, 7, 32}, {8, 7, 7, 32}, {8, 7, 7, 32}).outer.count() == 0);
  CHECK(Broadcast({8, 7, 7, 32}, {8, 7, 7, 32}, {32}).outer.count() == 1);
  CHECK(Broadcast({8, 7, 7, 32}, {8, 7, 7, 32}, {8, 1, 1, 32}).outer.count() == 2);
  CHECK(Broadcast({8, 7, 7, 32}, {8, 7, 7, 32}, {}).inner.extent == 8 * 7 * 7 * 32);
}
