// SPDX-License-Identifier: MIT
#include "both_devices.hpp"
#include "gram/cuda/formulas.hpp"

using namespace gram;
namespace {

using kernels::Unary;

struct UnaryCase {
  const char* name;
  Unary op;
  kernels::Constants c;
  bool positive = false;  ///< only defined there
};
const UnaryCase unary_cases[] = {{"affine", Unary::affine, {-1.5, 0.25}},
                                 {"quotient", Unary::quotient, {2.5}, true},
                                 {"exp", Unary::exp, {}},
                                 {"log", Unary::log, {}, true},
                                 {"sqrt", Unary::sqrt, {}, true},
                                 {"abs", Unary::abs, {}},
                                 {"pow", Unary::pow, {2.5}, true},
                                 {"clamp", Unary::clamp, {-0.5, 0.75}},
                                 {"relu", Unary::relu, {}},
                                 {"relu6", Unary::relu6, {}},
                                 {"gelu", Unary::gelu, {}},
                                 {"gelu_tanh", Unary::gelu_tanh, {}},
                                 {"silu", Unary::silu, {}},
                                 {"sigmoid", Unary::sigmoid, {}},
                                 {"tanh", Unary::tanh, {}},
                                 {"hardswish", Unary::hardswish, {}},
                                 {"softplus", Unary::softplus, {}}};

/// Values from -8 to 8, or from 0.1 to 8, in an order that mixes them, and some where formulas have corners.
template <Scalar T>
Tensor<T> range(Index n, bool positive) {
  const double corners[] = {0, -0.0, 1, -1, 3, -3, 6, -6};
  return generate<T>({n}, [&](Index i) {
    if (!positive && i < 8) return corners[i];
    const double u = static_cast<double>(i * 7919 % 1009) / 1008;
    return positive ? 0.1 + 7.9 * u : 16 * u - 8;
  });
}

TEST_CASE_TEMPLATE("operations of one operand are those of the CPU", T, float, double, bf16) {
  for (const UnaryCase& test : unary_cases)
    for (const Index n : {0, 1, 7, 64, 1031}) {
      INFO(test.name, " of ", n);
      const auto f = [&](const std::vector<Tensor<T>>& x) {
        return detail::unary(test.name, test.op, x[0], test.c);
      };
      CHECK(test::device_distance<T>(f, {range<T>(n, test.positive)}) <= test::device_tolerance<T>);
    }
}

TEST_CASE_TEMPLATE("memory that is not aligned is read element by element", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) { return gelu(rows(x[0], 1, 30)) * rows(x[1], 2, 31); };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{33, 3}, {33, 3}})) <= test::device_tolerance<T>);
}

TEST_CASE("NaN stays NaN") {
  const auto x = full<float>({5}, std::nanf(""), Device::cuda());
  for (const UnaryCase& test : unary_cases) {
    INFO(test.name);
    CHECK(std::isnan(detail::unary(test.name, test.op, x, test.c).to(Device::cpu()).data()[4]));
  }
  const auto one = ones<float>({5}, Device::cuda());
  for (const auto& y : {minimum(x, one), minimum(one, x), maximum(x, one), maximum(one, x)})
    CHECK(std::isnan(y.to(Device::cpu()).data()[4]));
}

TEST_CASE_TEMPLATE("gradients are added to those that are there", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) {
    return relu(x[0]) + exp(x[0]) + x[0] * x[0] + x[0] * x[1] + sigmoid(x[1]);
  };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{37, 8}, {8}})) <= 2 * test::device_tolerance<T>);
}

template <Scalar T>
using BinaryOperation = Tensor<T> (*)(const Tensor<T>&, const Tensor<T>&);

template <Scalar T>
double broadcast_distance(BinaryOperation<T> op, const Shape& a, const Shape& b) {
  auto inputs = test::random_inputs<T>({a, b});
  for (Tensor<T>& x : inputs)  // away from zero, for division
    for (T& value : x.span()) value = T(float(value) + (float(value) < 0 ? -0.5F : 0.5F));
  return test::device_distance<T>([&](const auto& x) { return op(x[0], x[1]); }, inputs);
}

TEST_CASE_TEMPLATE("operations of two operands broadcast as on the CPU", T, float, double, bf16) {
  const BinaryOperation<T> ops[] = {add<T>, sub<T>, mul<T>, div<T>, minimum<T>, maximum<T>};
  const std::pair<Shape, Shape> shapes[] = {
      {{5}, {5}},
      {{}, {}},
      {{1}, {3, 1}},
      {{0, 4}, {4}},
      {{4, 0}, {1, 1}},
      {{1031}, {}},
      {{300, 24}, {24}},
      {{3, 50, 16}, {3, 1, 16}},
      {{3, 50, 16}, {3, 50, 1}},
      {{3, 50, 5}, {1, 50, 1}},
      {{2, 3, 4, 5}, {3, 1, 5}},
      {{2, 1, 40, 8}, {3, 1, 8}},
      {{2, 3, 2, 3, 2, 8}, {3, 1, 3, 1, 8}},
      {{40, 1}, {1, 33}},
  };
  for (const auto& [a, b] : shapes)
    for (const BinaryOperation<T> op : ops) {
      const std::string which = text(to_text(a), " and ", to_text(b));
      INFO(which);
      CHECK(broadcast_distance<T>(op, a, b) <= 2 * test::device_tolerance<T>);
    }
}

TEST_CASE("long sums over repeated axes keep their digits") {
  CHECK(broadcast_distance<float>(mul, {20000, 3}, {3}) <= 1e-5);
  CHECK(broadcast_distance<float>(mul, {20000, 8}, {8}) <= 1e-5);
  CHECK(broadcast_distance<float>(mul, {50000}, {}) <= 1e-5);
  CHECK(broadcast_distance<bf16>(mul, {20000, 16}, {16}) <= 1e-2);
}

TEST_CASE("where operands are equal each takes half of the gradient") {
  const auto f = [](const std::vector<Tensor<float>>& x) {
    return maximum(x[0], x[1]) + minimum(x[0], x[1]);
  };
  CHECK(test::device_distance<float>(f, {ones<float>({3, 5}), ones<float>({5})}) == 0);
}

template <class A, template <class> class F>
double formula_distance(const UnaryCase& test) {
  const Tensor<A> x = range<A>(2000, test.positive), dy = randn<A>({2000}, 3);
  Tensor<A> y({2000}), dx({2000}), found_y({2000}), found_dx({2000});
  kernels::unary(Cpu{}, test.op, x.data(), y.data(), x.size(), test.c);
  const Tensor<A>& kept = kernels::kept_by(test.op) == kernels::Kept::y ? y : x;
  kernels::unary_grad(Cpu{}, test.op, kept.data(), dy.data(), dx.data(), false, x.size(), test.c);
  const F<A> f{{static_cast<A>(test.c.a), static_cast<A>(test.c.b)}};
  for (Index i = 0; i < x.size(); ++i) {
    found_y.data()[i] = f.value(x.data()[i]);
    found_dx.data()[i] = f.grad(kept.data()[i], dy.data()[i]);
  }
  return std::max(test::distance(found_y, y), test::distance(found_dx, dx));
}
template <class A>
double largest_formula_distance() {
  int i = 0;
  const auto next = [&]() -> const UnaryCase& { return unary_cases[i++]; };
  return std::max({formula_distance<A, cuda::Affine>(next()), formula_distance<A, cuda::Quotient>(next()),
                   formula_distance<A, cuda::Exp>(next()), formula_distance<A, cuda::Log>(next()),
                   formula_distance<A, cuda::Sqrt>(next()), formula_distance<A, cuda::Abs>(next()),
                   formula_distance<A, cuda::Pow>(next()), formula_distance<A, cuda::Clamp>(next()),
                   formula_distance<A, cuda::Relu>(next()), formula_distance<A, cuda::Relu6>(next()),
                   formula_distance<A, cuda::Gelu>(next()), formula_distance<A, cuda::GeluTanh>(next()),
                   formula_distance<A, cuda::Silu>(next()), formula_distance<A, cuda::Sigmoid>(next()),
                   formula_distance<A, cuda::Tanh>(next()), formula_distance<A, cuda::Hardswish>(next()),
                   formula_distance<A, cuda::Softplus>(next())});
}
TEST_CASE("the formulas are those of the CPU") {
  CHECK(largest_formula_distance<float>() <= 1e-6);
  CHECK(largest_formula_distance<double>() <= 1e-14);
}

}  // namespace
