// SPDX-License-Identifier: MIT
#include "gram/tensor/checkpoint.hpp"

#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/dropout.hpp"
#include "support.hpp"

using namespace gram;

namespace {

struct Result {
  Tensor<double> y, dx, dw;
  std::uint64_t drawn;
};

/// The same function with its middle part checkpointed or not.
Result run(bool checkpointed) {
  Rng rng(3);
  auto x = randn<double>({5, 4}, 1), w = randn<double>({4}, 2);
  x.set_requires_grad(), w.set_requires_grad();
  const auto part = [&](const Tensor<double>& t) {
    return dropout(gelu(t * w), 0.3, rng) + dropout(t, 0.5, rng);
  };
  const auto h = x * 2;
  const auto middle = checkpointed ? checkpoint(part, h) : part(h);
  const auto y = dropout(middle * w, 0.2, rng);
  backward(y, randn<double>(y.shape(), 5));
  return {y.detach(), x.grad(), w.grad(), rng.position()};
}

}  // namespace

TEST_CASE("a checkpointed function gives the same values and gradients, dropout included") {
  const Result plain = run(false), again = run(true);
  CHECK(test::identical(plain.y, again.y));
  CHECK(test::close(plain.dx, again.dx, 1e-15));
  CHECK(test::close(plain.dw, again.dw, 1e-15));
  CHECK(plain.drawn == again.drawn);
}

TEST_CASE("checkpoints nest: masks are made again, statistics are updated once") {
  int first_runs = 0;
  const auto run_nested = [&](bool checkpointed) {
    Rng rng(3);
    auto x = randn<double>({6}, 1);
    x.set_requires_grad();
    const auto part = [&](auto&& f, const Tensor<double>& t) {
      return checkpointed ? checkpoint(f, t) : f(t);
    };
    const auto inner = [&](const Tensor<double>& t) {
      first_runs += !recomputing();
      return dropout(exp(t), 0.5, rng);
    };
    const auto outer = [&](const Tensor<double>& t) {
      return part(inner, dropout(t, 0.2, rng)) * dropout(t, 0.3, rng);
    };
    backward(part(outer, x), ones<double>({6}));
    CHECK(rng.position() == 3);
    return x.grad();
  };
  const auto plain = run_nested(false);
  CHECK(test::close(run_nested(true), plain, 1e-15));
  CHECK(first_runs == 2);
}

TEST_CASE("parameters get their gradient even when the argument needs none") {
  Tensor<double> w({2}, {3, 4});
  w.set_requires_grad();
  backward(checkpoint([&](const Tensor<double>& t) { return t * w; }, ones<double>({2})), ones<double>({2}));
  CHECK(test::close(w.grad(), {1., 1.}, 0));
}

TEST_CASE("recomputing is true in the second run only") {
  Tensor<double> x({1}, {2.0});
  x.set_requires_grad();
  std::vector<bool> seen;
  const auto y = checkpoint(
      [&](const Tensor<double>& t) {
        seen.push_back(recomputing());
        return t * t;
      },
      x);
  backward(y);
  CHECK(seen == std::vector<bool>{false, true});
  CHECK(!recomputing());
  CHECK(x.grad().item() == 4);
}

TEST_CASE("a checkpoint keeps less memory than the plain function") {
  auto x = ones<float>({10000});
  x.set_requires_grad();
  const auto deep = [](Tensor<float> t) {
    for (int i = 0; i < 10; ++i) t = gelu(t);
    return t;
  };
  const auto held = [&](auto&& f) {
    const std::size_t before = memory_stats().in_use;
    const auto y = f();
    return memory_stats().in_use - before;
  };
  CHECK(held([&] { return checkpoint(deep, x); }) < 50000);
  CHECK(held([&] { return deep(x); }) > 400000);
}

TEST_CASE("without recording a checkpoint is the function itself") {
  const NoGrad off;
  auto x = ones<float>({3});
  x.set_requires_grad();
  CHECK(!checkpoint([](const Tensor<float>& t) { return exp(t); }, x).requires_grad());
}

TEST_CASE("the walk may run where nothing is recorded") {
  auto x = ones<float>({3});
  x.set_requires_grad();
  const auto y = checkpoint([](const Tensor<float>& t) { return exp(t); }, x);
  const NoGrad off;
  backward(y, ones<float>({3}));
  CHECK(test::close(x.grad(), exp(x), 0));
}
