// SPDX-License-Identifier: MIT
#include "gram/tensor/tape.hpp"

#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/cast.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <Scalar T>
Tensor<T> leaf(std::initializer_list<T> values) {
  Tensor<T> x({static_cast<Index>(values.size())}, values);
  return x.set_requires_grad();
}

}  // namespace

TEST_CASE("a chain of a million operations runs forward and backward and is destroyed") {
  constexpr int length = 1000000;
  auto x = leaf({1.0});
  {
    Tensor<double> y = x;
    for (int i = 0; i < length; ++i) y = y + 1;
    CHECK(y.item() == length + 1);
    backward(y);
    CHECK(x.grad().item() == 1);
  }
  {
    Tensor<double> y = x;
    for (int i = 0; i < length; ++i) y = y * 1;
  }  // destroyed without a backward pass
  CHECK(x.grad().item() == 1);
}

TEST_CASE("a graph whose paths meet again adds up their gradients") {
  const auto x = leaf({3.0});
  const auto a = x * x, b = a + x, c = a * b;  // c = x^4 + x^3
  backward(c);
  CHECK(x.grad().item() == doctest::Approx(4 * 27 + 3 * 9));
  // a ladder of diamonds: 2^60 paths, visited once each
  const auto z = leaf({1.0});
  Tensor<double> y = z;
  for (int i = 0; i < 60; ++i) y = y + y;
  backward(y);
  CHECK(z.grad().item() == 0x1p60);
}

TEST_CASE("gradients of several backward calls add up, until zero_grad") {
  const auto x = leaf({1.0, 2.0});
  for (int i = 1; i <= 2; ++i) {
    backward(x * x, ones<double>({2}));
    CHECK(close(x.grad(), {2. * i, 4. * i}, 0));
  }
  x.zero_grad();
  backward(x * 3, ones<double>({2}));
  CHECK(close(x.grad(), {3., 3.}, 0));
}

TEST_CASE("several roots are walked in one pass") {
  const auto x = leaf({2.0});
  const auto shared = x * x, a = shared * 3, b = shared + x;
  backward<double>({{a, ones<double>({1})}, {b, ones<double>({1})}, {shared, full<double>({1}, 10)}});
  CHECK(x.grad().item() == 3 * 4 + 4 + 1 + 10 * 4);
}

TEST_CASE("a root that is also an input of another root keeps nothing of its gradient") {
  const auto x = leaf({2.0});
  const auto a = x * 3, b = a * 5;
  backward<double>({{a, ones<double>({1})}, {b, ones<double>({1})}});
  CHECK(x.grad().item() == 3 + 15);
  CHECK(!a.grad().defined());
}

TEST_CASE("backward from a leaf adds to its gradient") {
  const auto x = leaf({2.0});
  backward(x);
  backward(x);
  CHECK(x.grad().item() == 2);
}

TEST_CASE("nothing is recorded inside NoGrad, on this thread") {
  const auto x = leaf({2.0});
  {
    const NoGrad off;
    CHECK(!grad_enabled());
    {
      const NoGrad on_again(false);
      CHECK(!grad_enabled());  // an inner scope cannot switch recording on
    }
    CHECK(!(x * x).requires_grad());
    CHECK(!needs_grad({x}));
  }
  CHECK(grad_enabled());
  CHECK((x * x).recorded());
  CHECK(needs_grad({ones<double>({1}), x}));
  CHECK(!needs_grad({ones<double>({1}), Tensor<double>{}}));
}

TEST_CASE("gradients do not flow through detach") {
  const auto x = leaf({3.0});
  backward((x * x).detach() * x);
  CHECK(x.grad().item() == 9);
}

TEST_CASE("operands that need no gradient are not on the tape") {
  const auto x = leaf({3.0});
  const auto c = full<double>({1}, 5);
  backward(x * c);
  CHECK(!c.grad().defined());
  CHECK(!(c * c).requires_grad());
}

TEST_CASE("a graph is walked once, or more often with retain_graph") {
  const auto x = leaf({3.0});
  const auto y = exp(x * x * 0.0);
  backward(y, {.retain_graph = true});
  backward(y, {.retain_graph = true});
  backward(y);
  CHECK(error_of([&] { backward(y); }) ==
        "backward: the graph of exp was freed by an earlier backward; pass {.retain_graph = true} there");
  const auto half = x * 2;
  backward(half * 3);
  CHECK(error_of([&] { backward(half * 5); }) ==
        "backward: the graph of mul was freed by an earlier backward; pass {.retain_graph = true} there");
}

TEST_CASE("a walk that ends in an error leaves nothing to the next one") {
  const auto x = leaf({2.0}), z = leaf({3.0});
  const auto alive = x * 5, gone = z * 7;
  backward(gone);
  CHECK(error_of([&] {
          backward(std::vector<Root<double>>{{alive, ones<double>({1})}, {gone, ones<double>({1})}});
        }).find("was freed by an earlier backward") != std::string::npos);
  CHECK(error_of([&] { backward(alive + gone); }).find("was freed") != std::string::npos);
  x.zero_grad();
  backward(alive);
  CHECK(close(x.grad(), {5}, 0));
}

TEST_CASE("gradients that are shared are copied before they are written") {
  const auto x = leaf({1.0, 2.0}), z = leaf({5.0, 6.0});
  const auto dy = Tensor<double>({2}, {1, 10});
  backward(add(x, x) + z, dy);
  CHECK(close(x.grad(), {2., 20.}, 0));
  CHECK(close(z.grad(), {1., 10.}, 0));
  CHECK(close(dy, {1., 10.}, 0));
  // one gradient handed to three leaves, then written through one of them
  const auto a = leaf({1.0}), b = leaf({1.0}), c = leaf({1.0});
  backward(a + b + c);
  backward(a * 7);
  CHECK(a.grad().item() == 8);
  CHECK(b.grad().item() == 1);
  CHECK(c.grad().item() == 1);
}

TEST_CASE("a gradient the user holds does not change under him") {
  const auto x = leaf({1.0});
  backward(x * 2);
  const auto held = x.grad();
  backward(x * 3);
  CHECK(held.item() == 2);
  CHECK(x.grad().item() == 5);
}

TEST_CASE("element types mix in one graph") {
  const auto x = leaf({1.0F, 2.0F});
  const auto y = cast<double>(x) * cast<double>(cast<bf16>(x));
  backward(y, ones<double>({2}));
  CHECK(close(x.grad(), {2.F, 4.F}, 0));
}

TEST_CASE("backward frees what the graph held, and its inner gradients") {
  const std::size_t before = memory_stats().in_use;
  const auto x = ones<float>({1000}).set_requires_grad();
  Tensor<float> y = x;
  for (int i = 0; i < 10; ++i) y = gelu(y);
  CHECK(memory_stats().in_use - before > 40000);
  backward(y, ones<float>({1000}));
  CHECK(memory_stats().in_use - before == 3 * 4096);  // x, its gradient, y
}

TEST_CASE("a graph in static storage is destroyed after the thread's own objects") {
  static Tensor<double> kept;
  const auto x = leaf({1.0});
  kept = x * x + x * x;  // the sanitizers see whether its destruction at exit touches freed memory
  CHECK(kept.item() == 2);
}

TEST_CASE("a graph without backward frees everything when its result goes") {
  const auto x = ones<float>({1000}).set_requires_grad();
  const std::size_t before = memory_stats().in_use;
  { const auto y = exp(gelu(x) * gelu(x)); }
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("training steps ask the system for nothing after the first") {
  auto x = randn<float>({300}, 1).set_requires_grad();
  const auto step = [&] {
    backward(gelu(x * x + x) / (exp(x) + 1), ones<float>({300}));
    x.zero_grad();
  };
  step();
  const std::size_t before = memory_stats().system_requests;
  for (int i = 0; i < 100; ++i) step();
  CHECK(memory_stats().system_requests == before);
}

TEST_CASE("backward refuses what it cannot start from") {
  const auto x = leaf({1.0, 2.0});
  CHECK(error_of([&] { backward(x * x); }) ==
        "backward: shape (2) is not a scalar; pass the gradient of the result as well");
  CHECK(error_of([&] { backward(x * x, ones<double>({3})); }) ==
        "backward: gradient of shape (3) for a tensor of shape (2)");
  CHECK(error_of([&] { backward(x * x, Tensor<double>{}); }) == "backward: the gradient is undefined");
  CHECK(error_of([&] { backward(ones<double>({1})); }) ==
        "backward: the tensor of shape (1) depends on nothing that requires a gradient");
  CHECK(!x.grad().defined());
  CHECK(error_of([&] { (x * x).set_requires_grad(); }) ==
        "set_requires_grad: the tensor is the result of mul; only leaves can be set, use detach()");
}

TEST_CASE("an observer is told once, when no operation that uses the leaf is left") {
  struct Count final : detail::LeafObserver {
    void complete() override { ++count; }
    int count = 0;
  } observer;
  const auto x = leaf({3.0});
  x.autograd()->observer = &observer;
  backward(x * x + x);
  CHECK(observer.count == 1);
  {
    const auto y = x * 2, z = x * 3;
    backward(y);
    CHECK(observer.count == 1);  // z is left
    backward(z);
    CHECK(observer.count == 2);
    const auto unused = x * 4;
  }
  CHECK(observer.count == 2);  // destroyed, not walked
  const auto again = x * 5;
  backward(again, {.retain_graph = true});
  CHECK(observer.count == 2);
  backward(again);
  CHECK(observer.count == 3);
  x.autograd()->observer = nullptr;
}
