// SPDX-License-Identifier: MIT
#include "gram/ops/factorised_attention.hpp"

#include "support.hpp"

namespace gram {
namespace {

struct Case {
  Index N, queries, keys, heads, d, e;
};
// one token, one channel, heads of every vector length with a rest, values of another width
const Case cases[] = {{1, 1, 1, 1, 1, 1}, {2, 5, 5, 3, 7, 7},   {1, 17, 33, 1, 21, 21},
                      {3, 9, 2, 8, 1, 1}, {1, 50, 33, 2, 3, 5}, {2, 3, 101, 1, 2, 18}};

/// scale q (softmax over tokens(k)^T v), head by head, by its definition.
Tensor<double> naive(const Tensor<double>& q, const Tensor<double>& k, const Tensor<double>& v, Index heads,
                     double scale) {
  const Index N = q.dim(0), Lq = q.dim(1), Lk = k.dim(1), d = q.dim(2) / heads, e = v.dim(2) / heads;
  auto y = zeros<double>({N, Lq, heads * e});
  for (Index n = 0; n < N; ++n)
    for (Index c = 0; c < heads * d; ++c) {
      double total = 0;
      for (Index j = 0; j < Lk; ++j) total += std::exp(k.at({n, j, c}));
      for (Index z = c / d * e; z < (c / d + 1) * e; ++z) {
        double context = 0;
        for (Index j = 0; j < Lk; ++j) context += std::exp(k.at({n, j, c})) / total * v.at({n, j, z});
        for (Index i = 0; i < Lq; ++i) y.at({n, i, z}) += scale * q.at({n, i, c}) * context;
      }
    }
  return y;
}

struct Inputs {
  Tensor<double> q, k, v;
};
Inputs inputs(const Case& c) {
  return {randn<double>({c.N, c.queries, c.heads * c.d}, 1), randn<double>({c.N, c.keys, c.heads * c.d}, 2),
          randn<double>({c.N, c.keys, c.heads * c.e}, 3)};
}

TEST_CASE("factorised attention agrees with its definition") {
  for (const Case& c : cases) {
    const auto [q, k, v] = inputs(c);
    const auto expected = naive(q, k, v, c.heads, 1 / std::sqrt(double(c.d)));
    CHECK(test::close(factorised_attention(q, k, v, {.heads = c.heads}), expected, 1e-14));
    CHECK(test::close(factorised_attention(q, k, v, {.heads = c.heads, .scale = -0.3}),
                      naive(q, k, v, c.heads, -0.3), 1e-14));
    CHECK(test::close(factorised_attention(converted<float>(q), converted<float>(k), converted<float>(v),
                                           {.heads = c.heads}),
                      converted<float>(expected), 2e-6));
    CHECK(test::close(
        factorised_attention(converted<bf16>(q), converted<bf16>(k), converted<bf16>(v), {.heads = c.heads}),
        converted<bf16>(expected), 3e-2));
  }
}

TEST_CASE("factorised attention's gradients agree with central differences") {
  for (const Case& c : cases) {
    const auto [q, k, v] = inputs(c);
    const auto apply = [heads = c.heads](const auto& a, const auto& b, const auto& w) {
      return factorised_attention(a, b, w, {.heads = heads, .scale = 0.7});
    };
    CHECK(gradcheck(apply, q, k, v) < 1e-6);
    // only the gradients that are asked for are made, and they are the same
    const auto dy = randn<double>(apply(q, k, v).shape(), 9);
    auto all = inputs(c);
    for (Tensor<double>* x : {&all.q, &all.k, &all.v}) x->set_requires_grad();
    backward(apply(all.q, all.k, all.v), dy);
    for (int i = 0; i < 3; ++i) {
      auto one = inputs(c);
      Tensor<double>& x = i == 0 ? one.q : i == 1 ? one.k : one.v;
      x.set_requires_grad();
      backward(apply(one.q, one.k, one.v), dy);
      CHECK(test::identical(x.grad(), (i == 0 ? all.q : i == 1 ? all.k : all.v).grad()));
    }
  }
  // one tensor in three places
  const auto x = randn<double>({2, 5, 6}, 4);
  CHECK(gradcheck([](const auto& a) { return factorised_attention(a, a, a, {.heads = 2}); }, x) < 1e-6);
  CHECK(gradcheck([](const auto& q, const auto& a) { return factorised_attention(q, a, a, {.heads = 2}); },
                  randn<double>({2, 3, 6}, 5), x) < 1e-6);
  CHECK(gradcheck([](const auto& k, const auto& a) { return factorised_attention(a, k, a, {.heads = 2}); },
                  randn<double>({2, 5, 6}, 5), x) < 1e-6);
}

TEST_CASE("large keys do not overflow in factorised attention") {
  const auto k = full<float>({1, 3, 4}, 1000), ones_ = ones<float>({1, 3, 4});
  CHECK(test::close(factorised_attention(ones_, k, ones_, {.heads = 2, .scale = 1}),
                    full<float>({1, 3, 4}, 2), 1e-6));
}

TEST_CASE("factorised attention names the argument that does not fit") {
  const auto x = zeros<float>({1, 3, 4});
  CHECK(test::error_of([&] {
          factorised_attention(x, zeros<float>({1, 3, 6}), x);
        }) ==
        "factorised_attention: k has shape (1, 3, 6), but q has shape (1, 3, 4); images and channels must "
        "agree");
  CHECK(test::error_of([&] { factorised_attention(x, x, x, {.heads = 3}); }) ==
        "factorised_attention: 4 channels of q and 4 of v; both must be divisible by heads 3");
}

}  // namespace
}  // namespace gram
