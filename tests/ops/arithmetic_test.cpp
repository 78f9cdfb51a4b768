// SPDX-License-Identifier: MIT
#include "gram/ops/arithmetic.hpp"

#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <class F>
void for_each_binary(F&& f) {
  f("add", [](const auto& a, const auto& b) { return add(a, b); });
  f("sub", [](const auto& a, const auto& b) { return sub(a, b); });
  f("mul", [](const auto& a, const auto& b) { return mul(a, b); });
  f("div", [](const auto& a, const auto& b) { return div(a, b); });
  f("minimum", [](const auto& a, const auto& b) { return minimum(a, b); });
  f("maximum", [](const auto& a, const auto& b) { return maximum(a, b); });
}

template <class F>
std::vector<Tensor<float>> gradients(F&& f, std::vector<Tensor<float>> inputs) {
  for (auto& x : inputs) x.set_requires_grad();
  const auto y = f(inputs);
  backward(y, ones<float>(y.shape()));
  std::vector<Tensor<float>> all;
  for (const auto& x : inputs) all.push_back(x.grad());
  return all;
}

}  // namespace

TEST_CASE("broadcasting operations agree with values worked by hand") {
  const Tensor<double> a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3}, {10, 20, 30}), c({2, 1}, {1, 2});
  CHECK(close(a + b, {11., 22., 33., 14., 25., 36.}, 0));
  CHECK(close(a - c, {0., 1., 2., 2., 3., 4.}, 0));
  CHECK(close(a * c, {1., 2., 3., 8., 10., 12.}, 0));
  CHECK(close(b / a, {10., 10., 10., 2.5, 4., 5.}, 0));
  CHECK((c + b).shape() == Shape{2, 3});
  CHECK(close(minimum(a, Tensor<double>({}, {3.})), {1., 2., 3., 3., 3., 3.}, 0));
  CHECK(close(maximum(a, Tensor<double>({}, {3.})), {3., 3., 3., 4., 5., 6.}, 0));
}

TEST_CASE("operators with numbers") {
  const Tensor<double> x({3}, {1, 2, 4});
  CHECK(close(x + 1.5, {2.5, 3.5, 5.5}, 0));
  CHECK(close(1.5 + x, {2.5, 3.5, 5.5}, 0));
  CHECK(close(x - 1, {0., 1., 3.}, 0));
  CHECK(close(1 - x, {0., -1., -3.}, 0));
  CHECK(close(x * 2, {2., 4., 8.}, 0));
  CHECK(close(2 * x, {2., 4., 8.}, 0));
  CHECK(close(x / 4, {0.25, 0.5, 1.}, 0));
  CHECK(close(4 / x, {4., 2., 1.}, 0));
  CHECK(close(-x, {-1., -2., -4.}, 0));
  const auto f = [](const auto& t) { return 3 / (2 * (1 - -t) * t - 0.5) + (t + 1) / 7 + (2 - t); };
  CHECK(gradcheck(f, rand<double>({3, 5}, 1, 2, 1)) < 1e-6);
}

TEST_CASE("functions of one tensor agree with the standard library") {
  for (const Index n : {0, 1, 5, 16, 100}) {
    const auto x = rand<double>({n}, 0.1, 3, 1);
    const auto check = [&](const Tensor<double>& y, auto&& scalar) {
      CHECK(close(y, generate<double>({n}, [&](Index i) { return scalar(x.data()[i]); }), 1e-15));
    };
    check(exp(x), [](double v) { return std::exp(v); });
    check(log(x), [](double v) { return std::log(v); });
    check(sqrt(x), [](double v) { return std::sqrt(v); });
    check(pow(x, 2.5), [](double v) { return std::pow(v, 2.5); });
    check(abs(x - 1), [](double v) { return std::abs(v - 1); });
    check(neg(x), [](double v) { return -v; });
    check(clamp(x, 0.5, 2), [](double v) { return std::min(std::max(v, 0.5), 2.0); });
  }
}

TEST_CASE("gradients of functions of one tensor agree with central differences") {
  const auto positive = rand<double>({3, 7}, 0.5, 3, 1), any = randn<double>({5, 5}, 2);
  CHECK(gradcheck([](const auto& x) { return exp(x); }, any) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return log(x); }, positive) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return sqrt(x); }, positive) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return abs(x); }, any) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return neg(x); }, any) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return pow(x, 2.5); }, positive) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return pow(x, -1); }, positive) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return pow(x, 3); }, any) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return clamp(x, -0.5, 0.7); }, any) < 1e-6);
}

TEST_CASE("gradients of broadcasting operations agree with central differences") {
  for_each_binary([](const std::string& name, auto&& f) {
    CAPTURE(name);
    const auto check = [&](const Shape& a, const Shape& b) {
      CAPTURE(to_text(a) + to_text(b));
      CHECK(gradcheck(f, rand<double>(a, 1, 2, 1), rand<double>(b, 1, 2, 2)) < 1e-6);
      CHECK(gradcheck(f, rand<double>(b, 1, 2, 3), rand<double>(a, 1, 2, 4)) < 1e-6);
    };
    check({}, {});
    check({3, 5}, {3, 5});
    check({3, 5}, {5});
    check({3, 5}, {});
    check({3, 5}, {1, 1, 1});
    check({2, 3, 2, 5}, {2, 1, 1, 5});
    check({2, 3, 4}, {2, 3, 1});
    check({3, 1}, {1, 4});
    check({2, 1, 3, 1, 2}, {3, 1, 2, 1});
    check({0, 3}, {3});
    CHECK(gradcheck([&](const auto& x) { return f(x * x, f(x, exp(x))); }, rand<double>({4}, 1, 2, 5)) <
          1e-6);
  });
}

TEST_CASE("an empty result gives a gradient of zeros") {
  const auto g =
      gradients([](const auto& x) { return x[0] * x[1]; }, {Tensor<float>({0, 3}), ones<float>({3})});
  CHECK(close(g[1], {0.F, 0.F, 0.F}, 0));
}

TEST_CASE("gradients at ties and corners are those of PyTorch") {
  // python3 -c "import torch; a,b=(torch.tensor(v,requires_grad=True) for v in ([1.,2.,3.],[2.,2.,2.]));
  //             torch.minimum(a,b).sum().backward(); print(a.grad,b.grad)"
  const Tensor<float> a({3}, {1, 2, 3}), b({3}, {2, 2, 2});
  const auto low = gradients([](const auto& x) { return minimum(x[0], x[1]); }, {a.clone(), b.clone()});
  CHECK(close(low[0], {1.F, 0.5F, 0.F}, 0));
  CHECK(close(low[1], {0.F, 0.5F, 1.F}, 0));
  const auto high = gradients([](const auto& x) { return maximum(x[0], x[1]); }, {a.clone(), b.clone()});
  CHECK(close(high[0], {0.F, 0.5F, 1.F}, 0));
  CHECK(close(high[1], {1.F, 0.5F, 0.F}, 0));
  CHECK(
      close(gradients([](const auto& x) { return clamp(x[0], 1, 2); }, {a.clone()})[0], {1.F, 1.F, 0.F}, 0));
  const Tensor<float> zero({3}, {-1, 0, 1});
  CHECK(close(gradients([](const auto& x) { return abs(x[0]); }, {zero.clone()})[0], {-1.F, 0.F, 1.F}, 0));
  CHECK(close(gradients([](const auto& x) { return pow(x[0], 0); }, {zero.clone()})[0], {0.F, 0.F, 0.F}, 0));
  CHECK(close(gradients([](const auto& x) { return pow(x[0], 2); }, {zero.clone()})[0], {-2.F, 0.F, 2.F}, 0));
}

TEST_CASE("NaN goes through minimum, maximum and clamp; zero keeps its sign") {
  const Tensor<float> nan({1}, {NAN}), one({1}, {1.F}), zero({1}, {0.F});
  for (const auto& y :
       {minimum(nan, one), minimum(one, nan), maximum(nan, one), maximum(one, nan), clamp(nan, 0, 1)})
    CHECK(std::isnan(y.item()));
  CHECK(std::signbit(neg(zero).item()));
  CHECK(!std::signbit(mul(zero, 2).item()));
  CHECK(std::signbit(mul(neg(zero), 2).item()));
}

TEST_CASE("results of the same operations in float and bf16") {
  const auto a = rand<float>({4, 33}, 1, 2, 1), b = rand<float>({33}, 1, 2, 2);
  const auto expected = (a + b) * a / b - sqrt(a);
  const auto a16 = converted<bf16>(a), b16 = converted<bf16>(b);
  CHECK(close(converted<float>((a16 + b16) * a16 / b16 - sqrt(a16)), expected, 0.03));
}

TEST_CASE("the gradient of add is passed on without a copy") {
  Tensor<float> a({64}), b({64});
  a.set_requires_grad(), b.set_requires_grad();
  const Tensor<float> dy = ones<float>({64});
  backward(a + b, dy);
  CHECK(a.grad().data() == dy.data());
  CHECK(b.grad().data() == dy.data());
  // a second pass must not write through the shared memory
  backward(a + b, dy);
  CHECK(a.grad().data()[0] == 2);
  CHECK(b.grad().data()[63] == 2);
  CHECK(dy.data()[0] == 1);
}

TEST_CASE("shapes that do not broadcast are refused") {
  CHECK(error_of([] {
          Tensor<float>({2, 3}) + Tensor<float>({4, 3});
        }) ==
        "add: a has shape (2, 3), but b has shape (4, 3); aligned from the last axis, extents must be equal "
        "or 1");
  CHECK(error_of([] { div(Tensor<float>({3}), Tensor<float>({0})); }) ==
        "div: a has shape (3), but b has shape (0); aligned from the last axis, extents must be equal or 1");
  CHECK(error_of([] { mul(Tensor<float>({3}), Tensor<float>{}); }) == "mul: b is undefined");
  CHECK(error_of([] { exp(Tensor<float>{}); }) == "exp: x is undefined");
  CHECK(error_of([] { clamp(Tensor<float>({3}), 2, 1); }) ==
        "clamp: low is 2, but high is 1; low <= high is needed");
}
