// SPDX-License-Identifier: MIT
#include "gram/ops/batch_norm.hpp"

#include <algorithm>
#include <vector>

#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape shape;
  bool training, relu, residual, affine;
};

// One row per channel block, wide rows with and without a remainder, many channels with a tail, ranks 2 to 5.
const std::vector<Case> cases{
    {{2, 1}, true, false, false, true},         {{5, 3}, true, true, true, true},
    {{4, 3, 2, 3}, true, true, false, true},    {{3, 7, 10}, true, false, true, true},
    {{2, 5, 5, 16}, true, true, true, true},    {{3, 300}, true, true, true, true},
    {{2, 2, 2, 2, 5}, true, true, true, false}, {{1, 4}, false, true, true, true},
    {{3, 5, 3}, false, false, false, true},     {{2, 3, 3, 17}, false, true, false, false}};

template <Scalar T>
struct Inputs {
  explicit Inputs(const Case& c, double mean = 0.3)
      : x(generate<T>(c.shape,
                      [&](Index i) {
                        return mean + RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
                      })),
        mu(rand<accum_t<T>>({c.shape[-1]}, -1, 1, 4)),
        var(rand<accum_t<T>>({c.shape[-1]}, 0.5, 2, 5)) {
    if (c.residual) residual = randn<T>(c.shape, 6);
    if (c.affine)
      weight = rand<accum_t<T>>({c.shape[-1]}, 0.5, 1.5, 2), bias = randn<accum_t<T>>({c.shape[-1]}, 3);
  }
  Tensor<T> x, residual;
  Tensor<accum_t<T>> weight, bias, mu, var;
};

/// The definition, one channel at a time, in double; also moves the running statistics.
template <Scalar T>
Tensor<double> naive(const Case& c, const Inputs<T>& in, Tensor<double>& running_mean,
                     Tensor<double>& running_var) {
  const Index C = c.shape[-1], rows = in.x.size() / C;
  Tensor<double> y(c.shape);
  for (Index k = 0; k < C; ++k) {
    double mean = static_cast<double>(in.mu.data()[k]), var = static_cast<double>(in.var.data()[k]);
    if (c.training) {
      const double old_mean = mean, old_var = var;
      mean = var = 0;
      for (Index r = 0; r < rows; ++r)
        mean += static_cast<double>(in.x.data()[r * C + k]) / static_cast<double>(rows);
      for (Index r = 0; r < rows; ++r) {
        const double d = static_cast<double>(in.x.data()[r * C + k]) - mean;
        var += d * d / static_cast<double>(rows);
      }
      running_mean.data()[k] = 0.9 * old_mean + 0.1 * mean;
      running_var.data()[k] =
          0.9 * old_var + 0.1 * var * static_cast<double>(rows) / static_cast<double>(rows - 1);
    }
    for (Index i = k; i < in.x.size(); i += C) {
      double v = (static_cast<double>(in.x.data()[i]) - mean) / std::sqrt(var + 1e-5);
      if (c.affine) v = v * static_cast<double>(in.weight.data()[k]) + static_cast<double>(in.bias.data()[k]);
      if (c.residual) v += static_cast<double>(in.residual.data()[i]);
      y.data()[i] = c.relu ? std::max(v, 0.0) : v;
    }
  }
  return y;
}

template <Scalar T>
void check_values(double tolerance) {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.shape));
    const Inputs<T> in(c);
    Tensor<double> mean(in.mu.shape()), var(in.mu.shape());
    const auto expected = naive(c, in, mean, var);
    const auto y = batch_norm(in.x, in.weight, in.bias, in.mu, in.var,
                              {.training = c.training, .relu = c.relu}, in.residual);
    CHECK(test::distance(converted<double>(y), expected) < tolerance);
    if (!c.training) continue;
    CHECK(test::distance(converted<double>(in.mu), mean) < 1e-6);
    CHECK(test::distance(converted<double>(in.var), var) < 1e-5);
  }
}

}  // namespace

TEST_CASE("batch_norm agrees with its definition and moves the running statistics") {
  check_values<double>(1e-12);
  check_values<float>(3e-6);
  check_values<bf16>(1e-2);
}

TEST_CASE("batch_norm agrees with PyTorch") {
  // python3 -c "import torch; t = lambda *a: torch.tensor(a, dtype=torch.float64); m = t(.5, -1); v = t(2, 3)
  // print(torch.nn.functional.batch_norm(t([1, 2], [3, 5], [4, -1]), m, v, t(2, .5), t(.1, .2), True, .3), m,
  // v)"  (2.15)
  Tensor<double> mean({2}, {0.5, -1}), var({2}, {2, 3});
  const auto y = batch_norm(Tensor<double>({3, 2}, {1, 2, 3, 5, 4, -1}), Tensor<double>({2}, {2, 0.5}),
                            Tensor<double>({2}, {0.1, 0.2}), mean, var, {.momentum = 0.3});
  CHECK(test::close(y,
                    {-2.572603828625744, 0.2, 0.634520765725149, 0.8123719253860694, 2.2380830629005954,
                     -0.41237192538606937},
                    1e-12));
  CHECK(test::close(mean, {1.15, -0.1}, 1e-12));
  CHECK(test::close(var, {2.1, 4.8}, 1e-12));
}

TEST_CASE("batch_norm's gradients agree with central differences") {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.shape));
    const Inputs<double> in(c);
    const BatchNormOptions options{.training = c.training, .relu = c.relu};
    const auto f = [&](const auto& x, const auto& w, const auto& b, const auto& r) {
      return batch_norm(x, w, b, in.mu.clone(), in.var.clone(), options, r);
    };
    const auto none = Tensor<double>{};
    if (c.affine && c.residual) {
      CHECK(gradcheck(f, in.x, in.weight, in.bias, in.residual) < 1e-6);
    } else if (c.affine) {
      CHECK(gradcheck([&](const auto& x, const auto& w, const auto& b) { return f(x, w, b, none); }, in.x,
                      in.weight, in.bias) < 1e-6);
    } else {
      CHECK(gradcheck([&](const auto& x) { return f(x, none, none, in.residual); }, in.x) < 1e-6);
    }
  }
}

TEST_CASE("batch_norm's gradients are right when the residual is the input itself") {
  for (const bool relu : {false, true}) {
    const auto f = [&](const Tensor<double>& x) {
      return batch_norm(x, {}, {}, Tensor<double>{}, Tensor<double>{}, {.relu = relu}, x);
    };
    CHECK(gradcheck(f, randn<double>({4, 3, 5}, 1)) < 1e-6);
  }
}

TEST_CASE("batch_norm adds to gradients that are there already") {
  Tensor<double> x = randn<double>({4, 5}, 1), w = ones<double>({5}), b = zeros<double>({5});
  x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
  const auto dy = randn<double>({4, 5}, 2);
  std::vector<Tensor<double>> once;
  for (int time = 0; time < 2; ++time) {
    backward(batch_norm(x, w, b, {}, {}, {.relu = true}), dy);
    if (time == 0) once = {x.grad().clone(), w.grad().clone(), b.grad().clone()};
  }
  const std::vector<Tensor<double>> twice{x.grad(), w.grad(), b.grad()};
  for (std::size_t k = 0; k < 3; ++k)
    for (Index i = 0; i < once[k].size(); ++i)
      CHECK(twice[k].data()[i] == doctest::Approx(2 * once[k].data()[i]));
}

TEST_CASE("batch_norm's gradients have the same bits in the memory of a gradient that nobody else holds") {
  // A product in between makes such a gradient; here the root is held, so the other run may not write over
  // it.
  const auto check = [](const Shape& shape, bool training, bool relu, int residual) {
    CAPTURE(to_text(shape));
    CAPTURE(training);
    CAPTURE(relu);
    CAPTURE(residual);
    const auto dy = randn<float>(shape, 9), kept = dy.clone(), half = full(shape, 0.5F);
    const auto run = [&](bool held) {
      const Inputs<float> in({shape, training, relu, residual > 0, true});
      Tensor<float> x = in.x, w = in.weight, b = in.bias, r = in.residual;
      x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
      if (residual == 2) r.set_requires_grad();
      if (residual == 3) r = x;
      if (residual == 4) r.set_requires_grad(), r.gradient().add(full(shape, 3.0F));
      const auto y = batch_norm(x, w, b, in.mu, in.var, {.training = training, .relu = relu}, r);
      held ? backward(y, mul(dy, half)) : backward(mul(y, half), dy);
      std::vector<Tensor<float>> all{x.grad(), w.grad(), b.grad()};
      if (residual > 1) all.push_back(r.grad());
      return all;
    };
    const auto expected = run(true), free = run(false);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::identical(free[i], expected[i]));
    CHECK(test::identical(dy, kept));
    // against the definition: g = dy where y > 0, dbias = sum g
    const Inputs<float> in({shape, training, relu, residual > 0, true});
    const auto y = batch_norm(in.x, in.weight, in.bias, in.mu, in.var, {.training = training, .relu = relu},
                              residual == 3 ? in.x : in.residual);
    const Index channels = shape[-1];
    for (Index c = 0; c < channels; ++c) {
      double sum = 0;
      for (Index i = c; i < y.size(); i += channels)
        if (!relu || y.data()[i] > 0) sum += 0.5 * static_cast<double>(dy.data()[i]);
      CHECK(static_cast<double>(free[2].data()[c]) == doctest::Approx(sum).epsilon(1e-4).scale(10));
    }
  };
  test::for_each_isa([&] {
    for (const Shape& shape : {Shape{5, 3}, Shape{3, 7, 7, 16}, Shape{700, 33}, Shape{9, 300}})
      for (const bool training : {false, true})
        for (const bool relu : {false, true})
          for (const int residual : {0, 1, 2, 3, 4}) check(shape, training, relu, residual);
  });
}

TEST_CASE("batch_norm's gradient has the same bits in the memory of an input that nobody else holds") {
  // A product makes such an input. Three walks over one graph: only the last may destroy what it reads.
  const auto check = [](const Shape& shape, bool relu, bool itself) {
    CAPTURE(to_text(shape));
    CAPTURE(relu);
    CAPTURE(itself);
    const auto run = [&](bool held) {
      const Inputs<float> in({shape, true, relu, true, true});
      Tensor<float> x = in.x, w = in.weight, b = in.bias, r = in.residual;
      x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad(), r.set_requires_grad();
      const auto dy = randn<float>(shape, 9), half = full(shape, 0.5F);
      Tensor<float> h = mul(x, half);
      const auto y = mul(batch_norm(h, w, b, {}, {}, {.relu = relu}, itself ? h : r), half);
      if (!held) h = {};
      std::vector<Tensor<float>> all;
      for (const bool retain : {true, true, false}) {
        x.zero_grad(), w.zero_grad(), b.zero_grad(), r.zero_grad();
        backward(y, dy, {.retain_graph = retain});
        for (const auto& t : {x, w, b}) all.push_back(t.grad().clone());
        if (!itself) all.push_back(r.grad().clone());
      }
      return all;
    };
    const auto expected = run(true), free = run(false);
    const std::size_t each = expected.size() / 3;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(test::identical(free[i], expected[i]));
      CHECK(test::identical(free[i], free[i % each]));
    }
  };
  test::for_each_isa([&] {
    for (const Shape& shape : {Shape{5, 3}, Shape{3, 7, 7, 16}, Shape{700, 33}, Shape{9, 300}})
      for (const bool relu : {false, true})
        for (const bool itself : {false, true}) check(shape, relu, itself);
  });
}

TEST_CASE("batch_norm with a ceiling has the bits of relu6 behind it, and its gradients") {
  test::for_each_isa([] {
    for (const Case& c : cases) {
      CAPTURE(to_text(c.shape));
      const auto run = [&](bool fused) {
        const Inputs<float> in({c.shape, c.training, true, c.residual, true}, 0);
        Tensor<float> x = in.x, w = mul(in.weight, 8), b = in.bias, r = in.residual;
        x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
        if (r.defined()) r.set_requires_grad();
        const BatchNormOptions options{
            .training = c.training, .relu = fused, .ceiling = fused ? 6 : HUGE_VAL};
        auto y = batch_norm(x, w, b, in.mu, in.var, options, r);
        if (!fused) y = relu6(y);
        backward(y, randn<float>(c.shape, 7));
        std::vector<Tensor<float>> all{y.detach(), x.grad(), w.grad(), b.grad()};
        if (r.defined()) all.push_back(r.grad());
        return all;
      };
      const auto expected = run(false), results = run(true);
      for (std::size_t i = 0; i < expected.size(); ++i) CHECK(test::identical(results[i], expected[i]));
    }
  });
  const auto y =
      batch_norm(randn<double>({50, 4}, 1), full(Shape{4}, 9.0), {}, {}, {}, {.relu = true, .ceiling = 6});
  const auto [least, most] = std::minmax_element(y.span().begin(), y.span().end());
  CHECK(*least == 0);
  CHECK(*most == 6);
  for (const bool residual : {false, true}) {
    const auto f = [&](const auto& x, const auto& r) {
      return batch_norm(x, {}, {}, Tensor<double>{}, Tensor<double>{}, {.relu = true, .ceiling = 0.5},
                        residual ? r : mul(r, 0));
    };
    CHECK(gradcheck(f, randn<double>({6, 3, 5}, 1), randn<double>({6, 3, 5}, 2)) < 1e-6);
  }
}

TEST_CASE("batch_norm of a map beyond the caches has the bits of its parts") {
  const auto check = [](auto number, Index rows, Index channels) {
    using T = decltype(number);
    CAPTURE(channels);
    const auto scattered = [&](std::uint64_t factor) {  // random numbers would take most of the test's time
      return generate<T>({rows, channels}, [=](Index i) {
        return static_cast<double>(static_cast<std::uint64_t>(i) * factor >> 20U & 1023U) / 256 - 2;
      });
    };
    const auto x = scattered(0x9E3779B97F4A7C15U), r = scattered(0xD2511F53CD9E8D57U);
    const auto w = rand<accum_t<T>>({channels}, 0.5, 1.5, 3), b = randn<accum_t<T>>({channels}, 4);
    const auto mean = randn<accum_t<T>>({channels}, 5), var = rand<accum_t<T>>({channels}, 0.5, 2, 6);
    const auto norm = [&](const Tensor<T>& values, const Tensor<T>& residual) {
      return batch_norm(values, w, b, mean, var, {.training = false, .relu = true}, residual);
    };
    const auto y = norm(x, r);
    constexpr int parts = 4;
    for (Index i = 0; i < parts; ++i) {
      const Index begin = i * rows / parts, end = (i + 1) * rows / parts;
      CHECK(test::identical(y.alias_rows(begin, end),
                            norm(x.alias_rows(begin, end), r.alias_rows(begin, end))));
    }
  };
  test::for_each_isa([&] {
    for (const Index channels : {16, 33, 300, 512}) check(0.0F, (Index{22} << 18) / channels, channels);
    check(0.0, (Index{11} << 18) / 24, 24);
    check(bf16(0.0F), (Index{11} << 20) / 24, 24);
  });
}

TEST_CASE("batch_norm keeps its digits when the mean is large") {
  for (const Index channels : {1, 3, 16, 64, 300}) {
    const Case c{{4096, channels}, true, false, false, true};
    const Inputs<float> in(c, 1e3);
    Tensor<double> mean(in.mu.shape()), var(in.mu.shape());
    const auto expected = naive(c, in, mean, var);
    const auto y = batch_norm(in.x, in.weight, in.bias, in.mu, in.var);
    CHECK(test::distance(converted<double>(y), expected) < 1e-4);
    CHECK(test::distance(converted<double>(in.var), var) < 1e-5);
  }
}

TEST_CASE(
    "batch_norm gives the same bits on one thread and two, and nearly the same with every instruction set") {
  for (const Shape& shape : {Shape{3000, 3}, Shape{40, 33, 33, 16}, Shape{200, 700}}) {
    const auto run = [&] {
      const Inputs<float> in({shape, true, true, true, true});
      Tensor<float> x = in.x, r = in.residual, w = in.weight;
      x.set_requires_grad(), r.set_requires_grad(), w.set_requires_grad();
      const auto y = batch_norm(x, w, in.bias, in.mu, in.var, {.relu = true}, r);
      backward(y, randn<float>(shape, 9));
      return std::vector<Tensor<float>>{y.detach(), w.grad(), in.mu, in.var, x.grad(), r.grad()};
    };
    CHECK(test::same_for_any_threads(run));
    // A sum near zero may fall on either side of the relu: then x.grad() and r.grad() differ.
    CHECK(test::isa_spread([&] {
            auto values = run();
            values.resize(4);
            return values;
          }) < 1e-4);
  }
}

TEST_CASE("a checkpointed batch_norm moves the running statistics once") {
  Tensor<double> x = randn<double>({6, 4}, 1), mean = zeros<double>({4}), var = ones<double>({4});
  x.set_requires_grad();
  const auto y =
      checkpoint<double>([&](const Tensor<double>& v) { return batch_norm(v, {}, {}, mean, var); }, x);
  const auto once = mean.clone();
  backward(y, randn<double>({6, 4}, 2));
  CHECK(test::identical(mean, once));
}

TEST_CASE("batch_norm says what does not fit") {
  const auto x = ones<float>({2, 3}), three = ones<float>({3}), four = ones<float>({4});
  CHECK(test::error_of([&] { batch_norm(ones<float>({3}), three, three, three, three); }) ==
        "batch_norm: x has shape (3), but at least two axes (..., C) are needed");
  CHECK(test::error_of([&] { batch_norm(x, three, four, three, three); }) ==
        "batch_norm: bias has shape (4), but x has shape (2, 3); one value per channel is needed");
  CHECK(test::error_of([&] {
          batch_norm(x, three, three, three, three, {}, ones<float>({2, 4}));
        }) == "batch_norm: residual has shape (2, 4), but x has shape (2, 3); they must agree");
  CHECK(test::error_of([&] {
          batch_norm(ones<float>({1, 3}), three, three, three, three);
        }) == "batch_norm: x has shape (1, 3), but training expects more than 1 value per channel");
  CHECK(test::error_of([&] { batch_norm(x, three, three, {}, {}, {.training = false}); }) ==
        "batch_norm: the running statistics are missing; only training works without them");
  CHECK(test::error_of([&] { batch_norm(x, three, three, three, {}); }) ==
        "batch_norm: one of running_mean and running_var is missing; give both or none");
  CHECK(test::error_of([&] { batch_norm(x, three, three, three, three, {.ceiling = 6}); }) ==
        "batch_norm: ceiling is 6, but there is no ReLU");
  CHECK(batch_norm(ones<float>({0, 3}), three, three, three, three, {.training = false}).size() == 0);
}
