// SPDX-License-Identifier: MIT
#include "gram/ops/attention.hpp"

#include <random>
#include <vector>

#include "isa_and_threads.hpp"

namespace gram {
namespace {

struct Case {
  Index N, queries, keys, heads, d, dv;
};
// one token, one channel, tiles of 48 queries and of every vector length with a rest
const Case cases[] = {{1, 1, 1, 1, 1, 1},  {2, 5, 5, 3, 7, 7},   {1, 17, 17, 1, 21, 21},
                      {2, 1, 18, 8, 1, 1}, {1, 50, 33, 2, 3, 5}, {1, 3, 101, 1, 2, 70},
                      {1, 17, 1, 2, 4, 2}};

/// The map by its definition, in double.
Tensor<double> naive_map(const Tensor<double>& q, const Tensor<double>& k, Index heads, double scale) {
  const Index N = q.dim(0), Lq = q.dim(1), Lk = k.dim(1), D = q.dim(2), d = D / heads;
  Tensor<double> map({N, heads, Lq, Lk});
  for (Index n = 0; n < N; ++n)
    for (Index h = 0; h < heads; ++h)
      for (Index i = 0; i < Lq; ++i) {
        double total = 0;
        double* row = map.data() + ((n * heads + h) * Lq + i) * Lk;
        for (Index j = 0; j < Lk; ++j) {
          double score = 0;
          for (Index c = h * d; c < (h + 1) * d; ++c) score += q.at({n, i, c}) * k.at({n, j, c});
          total += row[j] = std::exp(scale * score);
        }
        for (Index j = 0; j < Lk; ++j) row[j] /= total;
      }
  return map;
}
Tensor<double> naive(const Tensor<double>& q, const Tensor<double>& k, const Tensor<double>& v, Index heads,
                     double scale) {
  const auto map = naive_map(q, k, heads, scale);
  Tensor<double> y({q.dim(0), q.dim(1), v.dim(2)});
  for (Index n = 0; n < y.dim(0); ++n)
    for (Index i = 0; i < y.dim(1); ++i)
      for (Index c = 0; c < y.dim(2); ++c) {
        double sum = 0;
        for (Index j = 0; j < k.dim(1); ++j)
          sum += map.at({n, c / (v.dim(2) / heads), i, j}) * v.at({n, j, c});
        y.at({n, i, c}) = sum;
      }
  return y;
}

struct Inputs {
  Tensor<double> q, k, v;
};
Inputs inputs(const Case& c) {
  return {randn<double>({c.N, c.queries, c.heads * c.d}, 1), randn<double>({c.N, c.keys, c.heads * c.d}, 2),
          randn<double>({c.N, c.keys, c.heads * c.dv}, 3)};
}
/// [q | k | v] of equal shapes.
Tensor<double> packed(const Inputs& x) {
  const Index D = x.q.dim(2);
  return generate<double>({x.q.dim(0), x.q.dim(1), 3 * D}, [&](Index i) {
    const Index at = i / (3 * D) * D + i % D;
    return (i / D % 3 == 0 ? x.q : i / D % 3 == 1 ? x.k : x.v).data()[at];
  });
}

TEST_CASE("attention agrees with its definition") {
  for (const Case& c : cases) {
    const auto [q, k, v] = inputs(c);
    const double scale = 1 / std::sqrt(double(c.d));
    const auto expected = naive(q, k, v, c.heads, scale);
    CHECK(test::close(attention(q, k, v, {.heads = c.heads}), expected, 1e-14));
    CHECK(test::close(attention(q, k, v, {.heads = c.heads, .scale = -0.3}), naive(q, k, v, c.heads, -0.3),
                      1e-14));
    CHECK(test::close(
        attention(converted<float>(q), converted<float>(k), converted<float>(v), {.heads = c.heads}),
        converted<float>(expected), 2e-6));
    CHECK(
        test::close(attention(converted<bf16>(q), converted<bf16>(k), converted<bf16>(v), {.heads = c.heads}),
                    converted<bf16>(expected), 2e-2));
    CHECK(test::close(attention_map(q, k, {.heads = c.heads}), naive_map(q, k, c.heads, scale), 1e-14));
    CHECK(test::close(attention_map(converted<float>(q), converted<float>(k), {.heads = c.heads}),
                      converted<float>(naive_map(q, k, c.heads, scale)), 2e-6));
    if (c.queries == c.keys && c.d == c.dv) {
      const auto qkv = packed({q, k, v});
      CHECK(test::close(attention(qkv, {.heads = c.heads}), expected, 1e-14));
      CHECK(
          test::close(attention(converted<bf16>(qkv), {.heads = c.heads}), converted<bf16>(expected), 2e-2));
    }
  }
}

TEST_CASE("attention's gradients agree with central differences") {
  for (const Case& c : cases) {
    const auto [q, k, v] = inputs(c);
    const AttentionOptions options{.heads = c.heads};
    const auto apply = [=](const auto& a, const auto& b, const auto& w) {
      return attention(a, b, w, options);
    };
    CHECK(gradcheck(apply, q, k, v) < 1e-6);
    CHECK(gradcheck([=](const auto& a, const auto& b) { return attention_map(a, b, options); }, q, k) < 1e-6);
    if (c.queries == c.keys && c.d == c.dv)
      CHECK(gradcheck([=](const auto& x) { return attention(x, options); }, packed({q, k, v})) < 1e-6);
  }
  // one tensor in three places, and the scale
  const auto x = randn<double>({2, 5, 6}, 4);
  CHECK(gradcheck([](const auto& a) { return attention(a, a, a, {.heads = 2, .scale = 0.7}); }, x) < 1e-6);
  CHECK(gradcheck([](const auto& a) { return attention_map(a, a, {.heads = 2, .scale = 0.7}); }, x) < 1e-6);
}

TEST_CASE("attention of random shapes agrees with its definition in every instruction set") {
  std::mt19937 random(5);
  const auto up_to = [&](unsigned n) { return 1 + static_cast<Index>(random() % n); };
  for (int i = 0; i < test::rounds(100); ++i) {
    const Case c{up_to(2), up_to(80), up_to(i % 10 ? 40 : 210), up_to(3), up_to(40), up_to(80)};
    CAPTURE(c.queries);
    CAPTURE(c.keys);
    CAPTURE(c.d);
    CAPTURE(c.dv);
    const auto [q, k, v] = inputs(c);
    const double scale = (i % 2 ? 1 : -1) / std::sqrt(double(c.d));
    const auto expected = naive(q, k, v, c.heads, scale);
    test::for_each_isa([&, q = q, k = k, v = v] {
      const AttentionOptions options{.heads = c.heads, .scale = scale};
      CHECK(test::close(attention(q, k, v, options), expected, 1e-13));
      CHECK(test::close(attention(converted<float>(q), converted<float>(k), converted<float>(v), options),
                        converted<float>(expected), 2e-6));
    });
  }
}

TEST_CASE("large scores do not overflow") {
  const auto q = full<float>({1, 3, 4}, 100), v = ones<float>({1, 3, 4});
  CHECK(test::close(attention(q, q, v), v, 1e-6));
  const auto map = attention_map(q, q);
  CHECK(test::close(map, full<float>(map.shape(), 1.0F / 3), 1e-6));
}

template <class T>
std::vector<Tensor<T>> gradients(const Inputs& in, Index heads, int times = 1) {
  auto q = converted<T>(in.q), k = converted<T>(in.k), v = converted<T>(in.v);
  q.set_requires_grad(), k.set_requires_grad(), v.set_requires_grad();
  for (int i = 0; i < times; ++i) {
    const auto y = attention(q, k, v, {.heads = heads});
    backward(y, converted<T>(randn<double>(y.shape(), 9)));
  }
  return {q.grad(), k.grad(), v.grad()};
}

TEST_CASE("attention's gradients are near in every type, add up, and do not mind long sequences") {
  for (const Case& c :
       {Case{2, 17, 17, 3, 7, 7}, Case{1, 100, 1100, 1, 5, 5}}) {  // the second takes several tiles backward
    const Inputs in = inputs(c);
    const auto exact = gradients<double>(in, c.heads);
    const auto twice = gradients<double>(in, c.heads, 2);
    const auto single = gradients<float>(in, c.heads);
    const auto half = gradients<bf16>(in, c.heads, 2);
    for (std::size_t i = 0; i < 3; ++i) {
      auto doubled = exact[i].clone();
      for (double& d : doubled.span()) d *= 2;
      CHECK(test::close(twice[i], doubled, 1e-14));
      CHECK(test::close(single[i], converted<float>(exact[i]), 1e-5));
      CHECK(test::close(half[i], converted<bf16>(doubled), 4e-2));
    }
    // the map route: softmax(q k^T) from attention_map, times v by hand
    if (c.keys > 100) {
      auto q = in.q.clone();
      q.set_requires_grad();
      const auto map = attention_map(q, in.k, {.heads = 1});
      const auto dy = randn<double>({1, c.queries, c.dv}, 9);
      backward(map, generate<double>(map.shape(), [&](Index i) {
                 double sum = 0;
                 for (Index x = 0; x < c.dv; ++x)
                   sum += dy.at({0, i / c.keys, x}) * in.v.at({0, i % c.keys, x});
                 return sum;
               }));
      CHECK(test::close(q.grad(), exact[0], 1e-12));
    }
  }
}

TEST_CASE("only the gradients that are asked for are made") {
  const Inputs in = inputs(cases[1]);
  const auto all = gradients<double>(in, 3);
  auto k = in.k.clone();
  k.set_requires_grad();
  const auto y = attention(in.q, k, in.v, {.heads = 3});
  backward(y, randn<double>(y.shape(), 9));
  CHECK(test::identical(k.grad(), all[1]));
}

TEST_CASE("without queries the keys' gradients are zero") {
  auto k = randn<float>({2, 3, 4}, 1), v = randn<float>({2, 3, 4}, 2);
  k.set_requires_grad(), v.set_requires_grad();
  const auto y = attention(zeros<float>({2, 0, 4}), k, v);
  CHECK(y.shape() == Shape{2, 0, 4});
  backward(y, zeros<float>(y.shape()));
  CHECK(test::close(k.grad(), zeros<float>(k.shape()), 0));
  CHECK(test::close(v.grad(), zeros<float>(v.shape()), 0));
}

TEST_CASE("attention does not depend on the number of threads or, but for rounding, the instruction set") {
  const Inputs in = inputs({3, 50, 50, 2, 9, 9});
  const auto run = [&] {
    auto all = gradients<float>(in, 2);
    all.push_back(attention(converted<float>(packed(in)), {.heads = 2}));
    all.push_back(attention_map(converted<float>(in.q), converted<float>(in.k), {.heads = 2}));
    return all;
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) <= 1e-5);
}

TEST_CASE("attention refuses what does not fit") {
  const auto make = [](std::initializer_list<Index> shape) { return zeros<float>(Shape(shape)); };
  CHECK(test::error_of([&] {
          attention(make({2, 3, 4}), make({2, 5, 6}), make({2, 5, 6}));
        }) == "attention: k has shape (2, 5, 6), but q has shape (2, 3, 4); images and channels must agree");
  CHECK(test::error_of([&] {
          attention(make({2, 3, 4}), make({2, 5, 4}), make({2, 3, 4}));
        }) == "attention: v has shape (2, 3, 4), but k has shape (2, 5, 4); images and tokens must agree");
  CHECK(test::error_of([&] {
          attention(make({2, 3, 6}), make({2, 5, 6}), make({2, 5, 6}), {.heads = 4});
        }) == "attention: 6 channels of q and 6 of v; both must be divisible by heads 4");
  CHECK(test::error_of([&] {
          attention(make({2, 3, 6}), {.heads = 0});
        }) == "attention: 0 heads; at least one is needed");
  CHECK(
      test::error_of([&] {
        attention(make({2, 3, 7}));
      }) ==
      "attention: qkv has shape (2, 3, 7); (N, L, 3 D), queries, keys and values side by side, is expected");
  CHECK(test::error_of([&] {
          attention_map(make({2, 3}), make({2, 3, 4}));
        }) == "attention_map: q has shape (2, 3); (N, L, D) is expected");
  CHECK(test::error_of([&] {
          attention_map(make({2, 3, 4}), make({2, 0, 4}));
        }) == "attention_map: k has shape (2, 0, 4); at least one key is needed");
}

}  // namespace
}  // namespace gram
