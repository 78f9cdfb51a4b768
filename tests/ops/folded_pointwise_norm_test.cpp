// SPDX-License-Identifier: MIT
#include "gram/ops/folded_pointwise_norm.hpp"

#include <vector>

#include "gram/ops/conv2d.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape x;  // (N, H, W, K)
  Index out;
  bool training, relu, residual, affine;
};

// One channel, fewer rows than channels, sizes that fill no vector and no panel, several parts of rows, wide
// inputs, more and fewer outputs than inputs.
const std::vector<Case> cases{
    {{2, 1, 1, 1}, 1, true, false, false, true},  {{3, 1, 1, 5}, 7, true, true, true, true},
    {{2, 3, 5, 3}, 12, true, true, true, true},   {{2, 4, 4, 8}, 3, true, false, true, true},
    {{1, 5, 7, 6}, 17, true, true, false, true},  {{2, 4, 3, 6}, 6, true, true, true, false},
    {{1, 1, 1, 4}, 9, false, true, true, true},   {{2, 3, 3, 5}, 4, false, false, false, true},
    {{2, 3, 2, 4}, 10, false, true, false, false}};
const std::vector<Case> large{{{2, 30, 31, 16}, 64, true, true, true, true},
                              {{2, 13, 17, 70}, 36, true, true, false, true},
                              {{1, 40, 40, 33}, 65, true, false, true, true},
                              {{2, 20, 20, 48}, 200, false, true, true, true}};

template <Scalar T>
struct Inputs {
  using A = accum_t<T>;
  explicit Inputs(const Case& c, double mean = 0.3)
      : x(generate<T>(c.x,
                      [&](Index i) {
                        return mean * static_cast<double>(1 + i % c.x[-1]) +
                               RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
                      })),
        weight(converted<T>(randn<double>({c.out, 1, 1, c.x[-1]}, 2))),
        running_mean(converted<A>(randn<double>({c.out}, 5))),
        running_var(converted<A>(rand<double>({c.out}, 0.5, 2, 6))) {
    if (c.affine) {
      gamma = converted<A>(rand<double>({c.out}, 0.5, 1.5, 3));
      beta = converted<A>(randn<double>({c.out}, 4));
    }
    if (c.residual) residual = converted<T>(randn<double>(c.x.with(-1, c.out), 7));
  }
  Tensor<T> x, weight, residual;
  Tensor<A> gamma, beta, running_mean, running_var;
};

/// The result, the gradients of <result, random> and the running statistics, in double.
template <Scalar T>
std::vector<Tensor<double>> step(const Case& c, Inputs<T> in, bool folded) {
  in.x.set_requires_grad(), in.weight.set_requires_grad();
  if (c.affine) in.gamma.set_requires_grad(), in.beta.set_requires_grad();
  if (c.residual) in.residual.set_requires_grad();
  const BatchNormOptions options{.training = c.training, .relu = c.relu};
  const auto z = folded ? folded_pointwise_norm(in.x, in.weight, in.gamma, in.beta, in.running_mean,
                                                in.running_var, options, in.residual)
                        : batch_norm(conv2d(in.x, in.weight, {}), in.gamma, in.beta, in.running_mean,
                                     in.running_var, options, in.residual);
  backward(z, converted<T>(randn<double>(z.shape(), 8)));
  std::vector<Tensor<double>> all{converted<double>(z), converted<double>(in.x.grad()),
                                  converted<double>(in.weight.grad())};
  if (c.affine) {
    all.push_back(converted<double>(in.gamma.grad()));
    all.push_back(converted<double>(in.beta.grad()));
  }
  if (c.residual) all.push_back(converted<double>(in.residual.grad()));
  all.push_back(converted<double>(in.running_mean));
  all.push_back(converted<double>(in.running_var));
  return all;
}

/// The largest distance between what the folded form of T gives and the two operations of Reference give.
template <Scalar T, Scalar Reference>
double parity(const Case& c, double mean = 0.3) {
  const Inputs<T> in(c, mean);
  Inputs<Reference> same(c, mean);  // the values that T can hold
  same.x = converted<Reference>(in.x), same.weight = converted<Reference>(in.weight);
  if (c.residual) same.residual = converted<Reference>(in.residual);
  if (c.affine) {
    same.gamma = converted<accum_t<Reference>>(in.gamma), same.beta = converted<accum_t<Reference>>(in.beta);
  }
  same.running_mean = converted<accum_t<Reference>>(in.running_mean);
  same.running_var = converted<accum_t<Reference>>(in.running_var);
  const auto found = step<T>(c, in, true), expected = step<Reference>(c, same, false);
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    largest = std::max(largest, test::distance(found[i], expected[i]));
  return largest;
}

}  // namespace

TEST_CASE("folded_pointwise_norm is batch_norm of conv2d: values, gradients, running statistics") {
  for (const auto* list : {&cases, &large})
    for (const Case& c : *list) {
      CAPTURE(to_text(c.x));
      CHECK(parity<double, double>(c) < 1e-11);
      if (c.x[0] * c.x[1] * c.x[2] < 4 && c.training)
        continue;  // two or three values to a variance: in double
      CHECK(parity<float, double>(c) < 2e-5);
    }
}

TEST_CASE("folded_pointwise_norm's gradients agree with central differences") {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.x));
    const Inputs<double> in(c);
    const auto f = [&](const Tensor<double>& x, const Tensor<double>& w, const Tensor<double>& g,
                       const Tensor<double>& b, const Tensor<double>& r) {
      return folded_pointwise_norm(x, w, g, b, in.running_mean.clone(), in.running_var.clone(),
                                   {.training = c.training, .relu = c.relu}, r);
    };
    const Tensor<double> none;
    if (c.affine && c.residual) {
      CHECK(gradcheck(f, in.x, in.weight, in.gamma, in.beta, in.residual) < 1e-6);
    } else if (c.affine) {
      CHECK(gradcheck([&](const auto& x, const auto& w, const auto& g,
                          const auto& b) { return f(x, w, g, b, none); },
                      in.x, in.weight, in.gamma, in.beta) < 1e-6);
    } else if (c.residual) {
      CHECK(gradcheck([&](const auto& x, const auto& w, const auto& r) { return f(x, w, none, none, r); },
                      in.x, in.weight, in.residual) < 1e-6);
    } else {
      CHECK(gradcheck([&](const auto& x, const auto& w) { return f(x, w, none, none, none); }, in.x,
                      in.weight) < 1e-6);
    }
  }
}

TEST_CASE("folded_pointwise_norm's statistics are those of float, whatever large products multiply") {
  const Case c{{2, 20, 20, 64}, 128, true, false, false, true};
  const Inputs<float> in(c), same(c);
  const auto with = [&](const Inputs<float>& inputs, Precision precision) {
    set_product_precision(precision);
    folded_pointwise_norm(inputs.x, inputs.weight, inputs.gamma, inputs.beta, inputs.running_mean,
                          inputs.running_var, {.training = true});
    CHECK(product_precision() == precision);
    set_product_precision(Precision::float32);
  };
  with(in, Precision::bf16), with(same, Precision::float32);
  CHECK(test::identical(in.running_mean, same.running_mean));
  CHECK(test::identical(in.running_var, same.running_var));
}

TEST_CASE("folded_pointwise_norm of bf16 is as near to double as the two operations are") {
  const Case c{{2, 15, 16, 24}, 96, true, false, true, true};
  const Inputs<bf16> in(c);
  Inputs<double> same(c);
  same.x = converted<double>(in.x), same.weight = converted<double>(in.weight);
  same.residual = converted<double>(in.residual);
  same.gamma = converted<double>(in.gamma), same.beta = converted<double>(in.beta);
  same.running_mean = converted<double>(in.running_mean);
  same.running_var = converted<double>(in.running_var);
  const auto found = step<bf16>(c, in, true), other = step<bf16>(c, in, false),
             expected = step<double>(c, same, false);
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(test::distance(found[i], expected[i]) <= 1.5 * test::distance(other[i], expected[i]) + 1e-5);
  }
}

TEST_CASE("inputs far from zero cost folded_pointwise_norm no digits of the variance") {
  const Case c{{2, 30, 31, 16}, 64, true, false, false, true};
  for (const double mean : {0.0, 10.0, 100.0}) {
    Inputs<float> in(c, mean);
    Inputs<double> same(c, mean);
    same.x = converted<double>(in.x), same.weight = converted<double>(in.weight);
    const BatchNormOptions options{.momentum = 1};
    (void)folded_pointwise_norm(in.x, in.weight, {}, {}, in.running_mean, in.running_var, options);
    (void)batch_norm(conv2d(same.x, same.weight, {}), {}, {}, same.running_mean, same.running_var, options);
    CAPTURE(mean);
    CHECK(test::distance(div(converted<double>(in.running_var), same.running_var), ones<double>({c.out})) <
          1e-6);
  }
}

TEST_CASE("weights that cancel what inputs share cost folded_pointwise_norm what its page says") {
  // Inputs share a part `common` times as large as their own; every weight is orthogonal to it.
  const Index rows = 4096, in = 16, out = 8;
  for (const double common : {1.0, 10.0, 100.0}) {
    const auto shared = randn<double>({rows, 1}, 1);
    const auto x = converted<float>(add(mul(shared, common), randn<double>({rows, in}, 2)));
    const auto raw = randn<double>({out, in}, 3);
    const auto weight = converted<float>(sub(raw, mean(raw, {1}, {.keep = true})));
    Tensor<float> running_mean = zeros<float>({out}), running_var = ones<float>({out});
    (void)folded_pointwise_norm(x, weight, {}, {}, running_mean, running_var, {.momentum = 1});
    Tensor<double> exact_mean = zeros<double>({out}), exact_var = ones<double>({out});
    (void)batch_norm(matmul(converted<double>(x), converted<double>(weight), {.transpose_b = true}), {}, {},
                     exact_mean, exact_var, {.momentum = 1});
    const double q = static_cast<double>(in) * common * common;
    CAPTURE(common);
    CHECK(test::distance(div(converted<double>(running_var), exact_var), ones<double>({out})) <
          1.2e-7 * (q + 10));
  }
}

TEST_CASE("folded_pointwise_norm's residual may be its input, and gradients are added") {
  const auto f = [](const Tensor<double>& x, const Tensor<double>& w) {
    return folded_pointwise_norm(x, w, {}, {}, Tensor<double>{}, Tensor<double>{}, {.relu = true}, x);
  };
  CHECK(gradcheck(f, randn<double>({4, 3, 5}, 1), randn<double>({5, 5}, 2)) < 1e-6);
  const auto twice = [&](const Tensor<double>& x, const Tensor<double>& w) { return f(f(x, w), w); };
  CHECK(gradcheck(twice, randn<double>({4, 3, 5}, 1), randn<double>({5, 5}, 2)) < 1e-6);
}

TEST_CASE("folded_pointwise_norm gives what is asked for, whatever else needs no gradient") {
  const Case c{{2, 3, 4, 5}, 9, true, true, true, true};
  const auto all = step<double>(c, Inputs<double>(c), true);
  for (int wanted = 0; wanted < 5; ++wanted)
    for (const bool training : {true, false}) {
      Inputs<double> in(c);
      Tensor<double>* const inputs[] = {&in.x, &in.weight, &in.gamma, &in.beta, &in.residual};
      inputs[wanted]->set_requires_grad();
      const auto z = folded_pointwise_norm(in.x, in.weight, in.gamma, in.beta, in.running_mean,
                                           in.running_var, {.training = training, .relu = true}, in.residual);
      const auto dz = randn<double>(z.shape(), 8), before = dz.clone();
      backward(z, dz);
      CHECK(test::identical(dz, before));
      if (training) CHECK(test::identical(inputs[wanted]->grad(), all[static_cast<std::size_t>(wanted) + 1]));
      for (int other = 0; other < 5; ++other) CHECK(inputs[other]->grad().defined() == (other == wanted));
    }
}

TEST_CASE(
    "folded_pointwise_norm does not depend on the number of threads or, but for rounding, the instruction "
    "set") {
  const Case c{{2, 30, 31, 16}, 64, true, true, true, true};
  const auto run = [&] { return step<float>(c, Inputs<float>(c), true); };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) <= 2e-5);
}

TEST_CASE("folded_pointwise_norm says what does not fit") {
  const Tensor<float> x({2, 3, 4}), w({6, 4}), none;
  const auto fails = [&](const Tensor<float>& a, const Tensor<float>& b, const Tensor<float>& g,
                         const Tensor<float>& m, const Tensor<float>& v, const BatchNormOptions& o,
                         const Tensor<float>& r) {
    return test::error_of([&] { folded_pointwise_norm(a, b, g, none, m, v, o, r); });
  };
  CHECK(fails(x, Tensor<float>({6, 3, 3, 4}), none, none, none, {}, none) ==
        "folded_pointwise_norm: weight has shape (6, 3, 3, 4); (O, I) or (O, 1, 1, I), all positive, is "
        "needed");
  CHECK(fails(x, Tensor<float>({6, 5}), none, none, none, {}, none) ==
        "folded_pointwise_norm: weight (6, 5) expects 5 input channels, input has shape (2, 3, 4)");
  CHECK(fails(x, w, Tensor<float>({4}), none, none, {}, none) ==
        "folded_pointwise_norm: the norm's weight has shape (4), but weight (6, 4) has 6 output channels");
  CHECK(fails(x, w, none, none, none, {}, x) ==
        "folded_pointwise_norm: residual has shape (2, 3, 4), but the result has shape (2, 3, 6); they must "
        "agree");
  CHECK(fails(x, w, none, Tensor<float>({6}), none, {}, none) ==
        "folded_pointwise_norm: one of running_mean and running_var is missing; give both or none");
  CHECK(fails(x, w, none, none, none, {.training = false}, none) ==
        "folded_pointwise_norm: the running statistics are missing; only training works without them");
  CHECK(fails(x, w, none, none, none, {.relu = true, .ceiling = 6}, none) ==
        "folded_pointwise_norm: statistics over several processes and ceilings are for batch_norm");
  CHECK(fails(Tensor<float>({1, 4}), w, none, none, none, {}, none) ==
        "folded_pointwise_norm: x has shape (1, 4), but training expects more than 1 value per channel");
}
