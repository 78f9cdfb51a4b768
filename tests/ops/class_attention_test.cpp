// SPDX-License-Identifier: MIT
#include "gram/ops/class_attention.hpp"

#include "gram/ops/class_attention_textbook.hpp"
#include "isa_and_threads.hpp"

namespace gram {
namespace {

struct Case {
  Index N, L, C, E, heads, M;
  bool bias;
};
// no, one, and several tokens; heads of 1, 2, 5 and 21 channels; one and several classifiers; few and many
// images
const Case cases[] = {{1, 1, 1, 1, 1, 1, false}, {2, 5, 6, 8, 8, 3, false},  {3, 17, 20, 42, 2, 2, true},
                      {1, 0, 3, 4, 2, 2, true},  {5, 3, 37, 10, 2, 1, true}, {19, 4, 20, 42, 2, 2, true}};

/// Tokens, then for each classifier: query, norm weight and bias, q, k, v, proj weights, q, k, v, proj
/// biases.
template <class T>
struct Problem {
  ClassAttentionOptions options;
  Tensor<T> tokens;
  std::vector<Tensor<T>> queries;
  std::vector<ClassAttentionWeights<T>> weights;

  std::vector<Tensor<T>> leaves() const requires std::same_as<T, accum_t<T>> {
    std::vector<Tensor<T>> all{tokens};
    for (std::size_t m = 0; m < queries.size(); ++m) {
      const auto& w = weights[m];
      for (const auto& x : {queries[m], w.norm_weight, w.norm_bias, w.q_weight, w.k_weight, w.v_weight,
                            w.proj_weight, w.q_bias, w.k_bias, w.v_bias, w.proj_bias})
        if (x.defined()) all.push_back(x);
    }
    return all;
  }
};

template <class T>
Problem<T> problem(const Case& c) {
  std::uint64_t seed = 1;
  const auto make = [&]<class S>(S, const Shape& shape, bool wanted = true) {
    return wanted ? converted<S>(randn<double>(shape, seed++)).set_requires_grad() : Tensor<S>{};
  };
  const T t{};
  const accum_t<T> a{};
  Problem<T> p{{.heads = c.heads, .epsilon = 1e-3}, make(t, {c.N, c.L, c.C}), {}, {}};
  for (Index m = 0; m < c.M; ++m) {
    p.queries.push_back(make(t, {c.N, c.C}));
    p.weights.push_back({make(a, {c.C}), make(a, {c.C}), make(t, {c.E, c.C}), make(t, {c.E}, c.bias),
                         make(t, {c.E, c.C}), make(t, {c.E}, c.bias), make(t, {c.E, c.C}),
                         make(t, {c.E}, c.bias), make(t, {c.C, c.E}), make(t, {c.C}, c.bias)});
  }
  return p;
}
template <class T>
Tensor<T> fused(const Problem<T>& p) {
  return class_attention(p.tokens, p.queries, p.weights, p.options);
}
template <class T>
Tensor<T> textbook(const Problem<T>& p) {
  std::vector<Tensor<T>> rows_of_y;
  for (std::size_t m = 0; m < p.queries.size(); ++m) {
    const auto y = class_attention_textbook(p.tokens, p.queries[m], p.weights[m], p.options);
    rows_of_y.push_back(reshape(y, {1, y.dim(0), y.dim(1)}));
  }
  return concat(rows_of_y, 0);
}
/// The result, and the gradients of all leaves.
template <class T>
std::vector<Tensor<T>> run(const Problem<T>& p, Tensor<T> (*f)(const Problem<T>&), int times = 1) {
  std::vector<Tensor<T>> all;
  for (const auto& x : p.leaves()) x.zero_grad();
  Tensor<T> y;
  for (int i = 0; i < times; ++i) {
    y = f(p);
    backward(y, converted<T>(randn<double>(y.shape(), 99)));
  }
  all.push_back(y.detach());
  for (const auto& x : p.leaves()) all.push_back(x.grad().clone());
  return all;
}

TEST_CASE("fused class attention is the textbook's: values and gradients") {
  for (const Case& c : cases) {
    const auto p = problem<double>(c);
    const auto a = run(p, fused<double>), b = run(p, textbook<double>);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(i);
      CHECK(test::close(a[i], b[i], 1e-12));
    }
    const auto single = run(problem<float>(c), fused<float>);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(test::close(single[i], converted<float>(a[i]), 2e-5));
    CHECK(test::close(fused(problem<bf16>(c)), converted<bf16>(a[0]), 1e-1));
  }
}

TEST_CASE("class attention's gradients agree with central differences") {
  for (const Case& c : cases) {
    const auto p = problem<double>({c.N, c.L, c.C, c.E, c.heads, 1, c.bias});
    const auto& w = p.weights[0];
    const auto apply = [&](const auto& x, const auto& query, const auto& g, const auto& b, const auto& q,
                           const auto& k, const auto& v, const auto& proj) {
      return class_attention<double>(
          x, {query}, {{g, b, q, w.q_bias, k, w.k_bias, v, w.v_bias, proj, w.proj_bias}}, p.options);
    };
    CHECK(gradcheck(apply, p.tokens, p.queries[0], w.norm_weight, w.norm_bias, w.q_weight, w.k_weight,
                    w.v_weight, w.proj_weight) < 1e-6);
    if (!c.bias) continue;
    const auto biases = [&](const auto& q, const auto& k, const auto& v, const auto& proj) {
      return class_attention<double>(
          p.tokens, p.queries,
          {{w.norm_weight, w.norm_bias, w.q_weight, q, w.k_weight, k, w.v_weight, v, w.proj_weight, proj}},
          p.options);
    };
    CHECK(gradcheck(biases, w.q_bias, w.k_bias, w.v_bias, w.proj_bias) < 1e-6);
  }
  const auto p = problem<double>({2, 5, 6, 4, 2, 3, false});
  CHECK(gradcheck(
            [&](const auto& x, const auto& a, const auto& b) {
              return class_attention<double>(x, {a, b, a}, p.weights, p.options);
            },
            p.tokens, p.queries[0], p.queries[1]) < 1e-6);
}

TEST_CASE("one set of weights can serve several classifiers, and one matrix several purposes") {
  auto p = problem<double>({2, 5, 4, 4, 2, 2, true});
  for (auto& w : p.weights) w = p.weights[0];
  for (auto& w : p.weights) w.k_weight = w.v_weight = w.proj_weight = w.q_weight;
  const auto a = run(p, fused<double>), b = run(p, textbook<double>);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(test::close(a[i], b[i], 1e-12));
}

TEST_CASE("gradients of class attention add up, and only those asked for are made") {
  const auto p = problem<double>(cases[2]);
  const auto once = run(p, fused<double>), twice = run(p, fused<double>, 2);
  for (std::size_t i = 1; i < once.size(); ++i) {
    auto doubled = once[i].clone();
    for (double& d : doubled.span()) d *= 2;
    CHECK(test::close(twice[i], doubled, 1e-13));
  }
  auto frozen = problem<double>(cases[2]);
  for (auto& w : frozen.weights) {
    for (auto* x : {&w.norm_weight, &w.norm_bias, &w.q_weight, &w.k_weight, &w.v_weight, &w.proj_weight,
                    &w.q_bias, &w.k_bias, &w.v_bias, &w.proj_bias})
      *x = x->detach();
  }
  frozen.tokens = frozen.tokens.detach();
  const auto y = fused(frozen);
  backward(y, randn<double>(y.shape(), 99));
  CHECK(test::identical(frozen.queries[0].grad(), once[2]));
  CHECK(!frozen.tokens.grad().defined());
}

TEST_CASE("class attention in bf16 has gradients") {
  const auto p = problem<bf16>(cases[1]);
  const auto y = fused(p);
  backward(y, converted<bf16>(randn<double>(y.shape(), 99)));
  const auto exact = run(problem<double>(cases[1]), fused<double>);
  CHECK(test::close(converted<double>(p.tokens.grad()), exact[1], 1e-1));
  CHECK(test::close(converted<double>(p.weights[0].q_weight.grad()), exact[5], 1e-1));
  CHECK(test::close(converted<double>(p.weights[0].norm_weight.grad()), exact[3], 1e-1));
}

TEST_CASE(
    "class attention does not depend on the number of threads or, but for rounding, the instruction set") {
  const auto p = problem<float>({9, 33, 100, 40, 4, 2, true});
  CHECK(test::same_for_any_threads([&] { return run(p, fused<float>); }));
  CHECK(test::isa_spread([&] { return run(p, fused<float>); }) <= 1e-4);
}

TEST_CASE("class attention refuses what does not fit") {
  const auto broken = [](auto&& change) {
    auto p = problem<float>({2, 5, 6, 8, 4, 1, true});
    change(p);
    return test::error_of([&] { fused(p); });
  };
  CHECK(broken([](auto& p) { p.options.heads = 3; }) ==
        "class_attention: q_weight has 8 rows; heads 3 must divide them");
  CHECK(broken([](auto& p) {
          p.tokens = zeros<float>({2, 6});
        }) == "class_attention: tokens has shape (2, 6); (N, L, C) is expected");
  CHECK(broken([](auto& p) { p.queries.clear(); }) ==
        "class_attention: 0 queries and 1 sets of weights; as many of both, at least one, are needed");
  CHECK(broken([](auto& p) {
          p.queries[0] = zeros<float>({3, 6});
        }) ==
        "class_attention: query has shape (3, 6), but tokens have shape (2, 5, 6) and q_weight has 8 rows; "
        "(2, 6) is needed");
  CHECK(broken([](auto& p) { p.weights[0].q_weight = zeros<float>({8}); }) ==
        "class_attention: q_weight has shape (8); (E, C) is expected");
  CHECK(broken([](auto& p) {
          p.weights[0].proj_weight = zeros<float>({8, 6});
        }) ==
        "class_attention: proj_weight has shape (8, 6), but tokens have shape (2, 5, 6) and q_weight has 8 "
        "rows; (6, 8) is needed");
  CHECK(broken([](auto& p) { p.weights[0].v_bias = zeros<float>({7}); }) ==
        "class_attention: v_bias has shape (7), but tokens have shape (2, 5, 6) and q_weight has 8 rows; (8) "
        "is needed");
  CHECK(broken([](auto& p) { p.weights[0].norm_bias = {}; }) ==
        "class_attention: norm_bias has shape (), but tokens have shape (2, 5, 6) and q_weight has 8 rows; "
        "(6) is needed");
}

}  // namespace
}  // namespace gram
