// SPDX-License-Identifier: MIT
#include "gram/nn/fused_pointwise.hpp"

#include "gram/nn/module.hpp"
#include "gram/ops/arithmetic.hpp"
#include "support.hpp"

using namespace gram;

namespace {

struct Owners {
  Owners(Index count, const Pointwise<double>::Options& o) {
    Rng rng(1);
    for (Index i = 0; i < count; ++i) layers.emplace_back(o, rng);
    name_parameters(*this);
  }
  void visit(auto&& parts) { parts("layers", layers); }
  std::vector<Tensor<double>> together(const Tensor<double>& x) const {
    return pointwise_together(
        layers, [](const Pointwise<double>& layer) -> const Pointwise<double>& { return layer; }, x);
  }
  std::vector<Tensor<double>> apart(const Tensor<double>& x) const {
    std::vector<Tensor<double>> all;
    for (const auto& layer : layers) all.push_back(layer(x));
    return all;
  }
  LayerList<Pointwise<double>> layers;
};

/// The gradients of x and of all parameters, with other weights for every result.
template <class F>
std::vector<Tensor<double>> gradients(Owners& owners, F&& f) {
  auto x = randn<double>({2, 3, 5, 12}, 1);
  x.set_requires_grad();
  zero_grad(owners);
  std::vector<Root<double>> roots;
  for (const auto& y : f(x)) roots.push_back({y, randn<double>(y.shape(), 10 + roots.size())});
  backward(roots);
  std::vector<Tensor<double>> all{x.grad()};
  for_each_parameter(owners, [&](const std::string&, auto& p) { all.push_back(p.grad()); });
  return all;
}

}  // namespace

TEST_CASE("pointwise layers computed together are the layers one by one, forward and backward") {
  for (const Index count : {1, 2, 5})
    for (const Index groups : {1, 3})
      for (const bool bias : {true, false}) {
        Owners owners(count, {.in = 12, .out = 6, .groups = groups, .bias = bias});
        const auto x = randn<double>({2, 3, 5, 12}, 1);
        const auto together = owners.together(x), apart = owners.apart(x);
        REQUIRE(together.size() == apart.size());
        for (std::size_t i = 0; i < apart.size(); ++i) CHECK(test::close(together[i], apart[i], 1e-14));
        const auto ours = gradients(owners, [&](const auto& v) { return owners.together(v); });
        const auto expected = gradients(owners, [&](const auto& v) { return owners.apart(v); });
        for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::close(ours[i], expected[i], 1e-13));
      }
}

TEST_CASE("each of them writes its own costs into the log, and is named in an error") {
  Owners owners(3, {.in = 12, .out = 6, .groups = 3});
  const auto paths = [&](auto&& f) {
    const CallLog log;
    f(randn<double>({2, 4, 12}, 1));
    std::string all;
    for (const LayerCall& call : log.calls())
      all += text(call.path, " ", call.products, " ", call.parameters, ", ");
    return all;
  };
  CHECK(paths([&](const auto& x) { owners.together(x); }) ==
        "layers.0 192 30, layers.1 192 30, layers.2 192 30, ");
  CHECK(paths([&](const auto& x) { owners.together(x); }) == paths([&](const auto& x) { owners.apart(x); }));
  CHECK(test::error_of([&] { owners.together(zeros<double>({2, 11})); }).starts_with("layers.0: "));
}
