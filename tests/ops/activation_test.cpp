// SPDX-License-Identifier: MIT
#include "gram/ops/activation.hpp"

#include "isa_and_threads.hpp"

using namespace gram;
using test::close;

namespace {

/// Every activation by name, with a scalar form in double that is written independently.
template <class F>
void for_each_activation(F&& f) {
  const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
  f(
      "relu", [](const auto& x) { return relu(x); }, [](double x) { return x > 0 ? x : 0; });
  f(
      "relu6", [](const auto& x) { return relu6(x); },
      [](double x) { return std::min(std::max(x, 0.0), 6.0); });
  f(
      "gelu", [](const auto& x) { return gelu(x); },
      [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); });
  f(
      "gelu_tanh", [](const auto& x) { return gelu_tanh(x); },
      [](double x) { return x / 2 * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); });
  f(
      "silu", [](const auto& x) { return silu(x); }, [=](double x) { return x * sigma(x); });
  f(
      "sigmoid", [](const auto& x) { return sigmoid(x); }, sigma);
  f(
      "tanh", [](const auto& x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  f(
      "hardswish", [](const auto& x) { return hardswish(x); },
      [](double x) { return x * std::min(std::max(x + 3, 0.0), 6.0) / 6; });
  f(
      "softplus", [](const auto& x) { return softplus(x); },
      [](double x) { return std::log(1 + std::exp(x)); });
}

template <Scalar T>
Tensor<T> expected(const Tensor<T>& x, auto&& scalar) {
  return generate<T>(x.shape(), [&](Index i) { return scalar(static_cast<double>(x.data()[i])); });
}

}  // namespace

TEST_CASE("activations agree with their scalar forms in every element type and size") {
  for_each_activation([](const std::string& name, auto&& f, auto&& scalar) {
    CAPTURE(name);
    for (const Index n : {0, 1, 3, 16, 17, 1000}) {
      const auto x = rand<double>({n}, -9, 9, 3);
      CHECK(close(f(x), expected(x, scalar), 1e-14));
      const auto xf = converted<float>(x);
      CHECK(close(f(xf), expected(xf, scalar), 1e-6));
      const auto xb = converted<bf16>(x);
      CHECK(close(f(xb), expected(xb, scalar), 4e-3));
    }
  });
}

TEST_CASE("gradients of activations agree with central differences") {
  for_each_activation([](const std::string& name, auto&& f, auto&&) {
    CAPTURE(name);
    CHECK(gradcheck(f, randn<double>({5, 7}, 1)) < 1e-6);
    CHECK(gradcheck(f, rand<double>({1}, -8, 8, 2)) < 1e-6);
    CHECK(gradcheck(f, rand<double>({33}, -9, 9, 4)) < 1e-6);
    CHECK(gradcheck([&](const auto& x) { return std::vector{f(x), f(x)}; }, randn<double>({3}, 5)) < 1e-6);
  });
}

TEST_CASE("gradients at the corners are those of PyTorch") {
  // python3 -c "import torch; x=torch.tensor([-3.,0.,3.,6.],requires_grad=True);
  // torch.nn.functional.relu6(x).sum().backward(); print(x.grad)"
  const auto slope = [](auto&& f) {
    Tensor<float> x({4}, {-3, 0, 3, 6});
    x.set_requires_grad();
    backward(f(x), ones<float>({4}));
    return x.grad();
  };
  CHECK(close(slope([](const auto& x) { return relu(x); }), {0.F, 0.F, 1.F, 1.F}, 0));
  CHECK(close(slope([](const auto& x) { return relu6(x); }), {0.F, 0.F, 1.F, 0.F}, 0));
  CHECK(close(slope([](const auto& x) { return hardswish(x); }), {-0.5F, 0.5F, 1.5F, 1.F}, 1e-7));
}

TEST_CASE("a blocked gradient is zero even where dy is infinite") {
  Tensor<float> x({2}, {-1, 1});
  x.set_requires_grad();
  backward(relu(x), Tensor<float>({2}, {HUGE_VALF, 2}));
  CHECK(x.grad().data()[0] == 0);
  CHECK(x.grad().data()[1] == 2);
}

TEST_CASE("activations do not depend on threads") {
  CHECK(test::same_for_any_threads([] {
    auto x = randn<float>({3, 50000}, 1);
    x.set_requires_grad();
    const auto y = gelu(x);
    backward(y, randn<float>(y.shape(), 2));
    return std::vector{y, x.grad()};
  }));
}

TEST_CASE("relu keeps its result only, and lets go of its argument") {
  const std::size_t before = memory_stats().in_use;
  Tensor<float> y;
  {
    Tensor<float> leaf({1024});
    leaf.set_requires_grad();
    y = relu(relu(leaf).detach().set_requires_grad());
  }
  CHECK(memory_stats().in_use - before == 4096);
}

TEST_CASE("activations of an undefined tensor name the operation") {
  CHECK(test::error_of([] { gelu(Tensor<float>{}); }) == "gelu: x is undefined");
}
