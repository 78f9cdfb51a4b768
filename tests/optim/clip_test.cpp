// SPDX-License-Identifier: MIT
#include "gram/optim/clip.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("clip_grad_norm agrees with PyTorch") {
  // python3 -c "import torch; t = lambda *a: torch.tensor(a, dtype=torch.float64); a, b, c = t(0, 0), t(0),
  // t(0); a.grad, b.grad = t(3, 4), t(12) print(torch.nn.utils.clip_grad_norm_([a, b, c], 2.), a.grad,
  // b.grad)"  (2.15)
  Tensor<double> a = zeros<double>({2}), b = zeros<double>({1}), c = zeros<double>({1});
  a.set_requires_grad(), b.set_requires_grad(), c.set_requires_grad();
  a.gradient().add(Tensor<double>({2}, {3, 4}));
  b.gradient().add(Tensor<double>({1}, {12}));
  const std::vector<NamedParameter<double>> parameters{{"a", a}, {"b", b}, {"c", c}};
  CHECK(clip_grad_norm(parameters, 2) == doctest::Approx(13));
  CHECK(test::close(a.grad(), {0.46153842603550577, 0.615384568047341}, 1e-15));
  CHECK(test::close(b.grad(), {1.846153704142023}, 1e-15));
  CHECK(!c.grad().defined());
  CHECK(clip_grad_norm(parameters, 3) == doctest::Approx(2));
  CHECK(test::close(a.grad(), {0.46153842603550577, 0.615384568047341}, 1e-15));
}

TEST_CASE("clip_grad_norm scales a gradient that two tensors share once for each") {
  Tensor<float> a = zeros<float>({3}), b = zeros<float>({3});
  a.set_requires_grad(), b.set_requires_grad();
  const auto g = full<float>({3}, 2.0F);
  a.gradient().add(g), b.gradient().add(g);
  const double norm = clip_grad_norm<float>({{"a", a}, {"b", b}}, 1);
  CHECK(norm == doctest::Approx(std::sqrt(24.0)));
  CHECK(test::close(a.grad(), full<float>({3}, static_cast<float>(2 / norm)), 1e-6));
  CHECK(test::identical(a.grad(), b.grad()));
  CHECK(test::identical(g, full<float>({3}, 2.0F)));
}

TEST_CASE(
    "clip_grad_norm gives the same bits on one thread and two, and nearly the same with every instruction "
    "set") {
  Tensor<float> x = zeros<float>({200001});
  x.set_requires_grad();
  const auto run = [&] {
    x.zero_grad();
    x.gradient().add(randn<float>({200001}, 1));
    const double norm = clip_grad_norm<float>({{"x", x}}, 1);
    return std::vector{full<double>({1}, norm), converted<double>(x.grad())};
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) < 1e-7);
}

TEST_CASE("clip_grad_norm spreads NaN, and wants a positive norm") {
  Tensor<float> x = zeros<float>({2});
  x.set_requires_grad();
  x.gradient().add(Tensor<float>({2}, {std::nanf(""), 1}));
  CHECK(std::isnan(clip_grad_norm<float>({{"x", x}}, 1)));
  CHECK(std::isnan(x.grad().data()[1]));
  CHECK(test::error_of([&] {
          clip_grad_norm<float>({{"x", x}}, 0);
        }) == "clip_gradients: max_norm is 0, but it must be positive");
}
