// SPDX-License-Identifier: MIT
#include "gram/ops/feed_forward.hpp"

#include <vector>

#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

template <Scalar T>
FeedForwardWeights<T> feed_forward_weights(Index in, Index hidden, Index out, bool biases = true) {
  FeedForwardWeights<T> w{
      converted<T>(randn<float>({hidden, in}, 2)), {}, converted<T>(randn<float>({out, hidden}, 4)), {}};
  if (biases)
    w.bias1 = converted<T>(randn<float>({hidden}, 3)), w.bias2 = converted<T>(randn<float>({out}, 5));
  return w;
}
template <Scalar T>
Tensor<T> in_steps(const Tensor<T>& x, const FeedForwardWeights<T>& w, const Tensor<T>& residual) {
  return linear(gelu(linear(x, w.weight1, w.bias1)), w.weight2, w.bias2, residual);
}

}  // namespace

TEST_CASE_TEMPLATE("feed_forward is linear(gelu(linear)), values and gradients", T, float, double, bf16) {
  for (const Shape& shape : {Shape{6}, Shape{2, 3, 6}, Shape{0, 6}, Shape{300, 6}})
    for (const bool rest : {false, true}) {
      std::vector<std::vector<Tensor<T>>> found;
      for (const bool whole : {false, true}) {
        auto x = converted<T>(randn<float>(shape, 1)).set_requires_grad();
        auto w = feed_forward_weights<T>(6, 20, 5, rest);
        auto residual =
            rest ? converted<T>(randn<float>(shape.with(-1, 5), 6)).set_requires_grad() : Tensor<T>{};
        std::vector<Tensor<T>> leaves{x, w.weight1.set_requires_grad(), w.weight2.set_requires_grad()};
        if (rest)
          for (auto* t : {&w.bias1, &w.bias2, &residual}) leaves.push_back(t->set_requires_grad());
        const auto y = whole ? feed_forward(x, w, residual) : in_steps(x, w, residual);
        backward(y, converted<T>(randn<float>(y.shape(), 7)));
        auto& all = found.emplace_back();
        all.push_back(y.detach());
        for (const auto& leaf : leaves) all.push_back(leaf.grad());
      }
      for (std::size_t i = 0; i < found[0].size(); ++i) CHECK(test::identical(found[0][i], found[1][i]));
    }
}

TEST_CASE("feed_forward's gradients agree with central differences") {
  const auto w = feed_forward_weights<double>(4, 7, 3);
  CHECK(gradcheck(
            [](const auto& x, const auto& w1, const auto& b1, const auto& w2, const auto& b2, const auto& r) {
              return feed_forward(x, {w1, b1, w2, b2}, r);
            },
            randn<double>({2, 3, 4}, 1), w.weight1, w.bias1, w.weight2, w.bias2,
            randn<double>({2, 3, 3}, 6)) < 1e-6);
  const auto square = feed_forward_weights<double>(4, 7, 4);  // x is the residual, too
  CHECK(gradcheck([&](const auto& x) { return feed_forward(x, square, x); }, randn<double>({3, 4}, 1)) <
        1e-6);
  const auto x = randn<double>({3, 4}, 1);  // only the second layer is trained
  CHECK(gradcheck(
            [&](const auto& w2, const auto& b2) {
              return feed_forward(x, {w.weight1, w.bias1, w2, b2});
            },
            w.weight2, w.bias2) < 1e-6);
}

TEST_CASE("feed_forward can be walked twice when the graph is retained") {
  const auto w = feed_forward_weights<double>(4, 7, 4);
  const auto x = randn<double>({3, 4}, 1).set_requires_grad();
  const auto y = feed_forward(x, w, {});
  const auto dy = randn<double>({3, 4}, 2);
  backward(y, dy, {.retain_graph = true});
  const auto once = x.grad().clone();
  backward(y, dy);
  CHECK(test::close(x.grad(), mul(once, 2.0), 1e-14));
}

TEST_CASE("feed_forward has the same bits for any number of threads") {
  CHECK(test::same_for_any_threads([] {
    auto x = randn<float>({700, 24}, 1).set_requires_grad();
    const auto w = feed_forward_weights<float>(24, 60, 24);
    const auto y = feed_forward(x, w, x);
    backward(y, randn<float>(y.shape(), 4));
    return std::vector<Tensor<float>>{y.detach(), x.grad()};
  }));
}

TEST_CASE("feed_forward says what does not fit") {
  const auto w = feed_forward_weights<float>(4, 7, 3);
  CHECK(test::error_of([&] {
          feed_forward(zeros<float>({2, 5}), w);
        }) == "feed_forward: weight (7, 4) expects 4 input channels, input has shape (2, 5)");
  CHECK(test::error_of([&] {
          feed_forward(zeros<float>({2, 4}), {w.weight1, w.bias1, zeros<float>({3, 6}), {}});
        }) == "feed_forward: weight (3, 6) expects 6 input channels, input has shape (2, 7)");
  CHECK(test::error_of([&] {
          feed_forward(zeros<float>({2, 4}), w, zeros<float>({2, 4}));
        }) == "feed_forward: residual has shape (2, 4), but the result has shape (2, 3); they must agree");
}
