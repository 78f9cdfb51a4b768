// SPDX-License-Identifier: MIT
#include "gram/ops/gram.hpp"

#include "isa_and_threads.hpp"

namespace gram {
namespace {

/// The five steps of the definition, in double.
Tensor<double> naive(const Tensor<double>& x) {
  const Index N = x.dim(0), H = x.dim(1), P = H * x.dim(2), g = x.dim(3);
  Tensor<double> y({N, g * (g + 1) / 2});
  for (Index n = 0; n < N; ++n) {
    double* v = y.data() + n * y.dim(1);
    Index i = 0;
    double squares = 0;
    for (Index a = 0; a < g; ++a)
      for (Index b = a; b < g; ++b, ++i) {
        v[i] = 0;
        for (Index p = 0; p < P; ++p) {
          const double* pixel = x.data() + (n * P + p) * g;
          v[i] += (pixel[a] / double(H)) * (pixel[b] / double(H)) / double(P);
        }
        squares += v[i] * v[i];
      }
    for (i = 0; i < y.dim(1); ++i) v[i] /= std::max(std::sqrt(squares), 1e-12);
  }
  return y;
}

const Shape shapes[] = {{1, 1, 1, 1},  {2, 4, 5, 8},   {3, 1, 3, 17},
                        {1, 7, 2, 65}, {1, 2, 2, 100}, {2, 17, 16, 5}};

TEST_CASE("the Gram vector agrees with its definition") {
  for (const Shape& shape : shapes) {
    const auto x = randn<double>(shape, 1);
    CHECK(test::close(gram_vector(x), naive(x), 1e-14));
    CHECK(test::close(gram_vector(converted<float>(x)), converted<float>(naive(x)), 1e-5));
    CHECK(test::close(gram_vector(converted<bf16>(x)), converted<bf16>(naive(x)), 2e-2));
  }
}

TEST_CASE("the Gram vector's gradient agrees with central differences") {
  for (const Shape& shape : shapes) {
    if (shape[3] > 20) continue;
    CHECK(gradcheck([](const auto& x) { return gram_vector(x); }, randn<double>(shape, 2)) < 1e-6);
  }
  // below the floor the divisor is a constant
  CHECK(gradcheck([](const auto& x) { return gram_vector(x, {.epsilon = 1e3}); },
                  randn<double>({2, 1, 3, 3}, 2)) < 1e-6);
}

template <class T>
Tensor<T> gradient(const Tensor<double>& values, const Tensor<double>& dy, GramOptions options = {},
                   int times = 1) {
  auto x = converted<T>(values);
  x.set_requires_grad();
  for (int i = 0; i < times; ++i) backward(gram_vector(x, options), converted<T>(dy));
  return x.grad();
}

TEST_CASE("gradients of the Gram vector are near in every type, and add up") {
  for (const Shape& shape : shapes) {
    const auto x = randn<double>(shape, 3), dy = randn<double>({shape[0], shape[3] * (shape[3] + 1) / 2}, 4);
    const auto exact = gradient<double>(x, dy);
    CHECK(test::close(gradient<float>(x, dy), converted<float>(exact), 1e-5));
    CHECK(test::close(gradient<bf16>(x, dy), converted<bf16>(exact), 4e-2));
    auto twice = exact.clone();
    for (double& d : twice.span()) d *= 2;
    CHECK(test::close(gradient<double>(x, dy, {}, 2), twice, 1e-14));
    CHECK(test::close(gradient<bf16>(x, dy, {}, 2), converted<bf16>(twice), 4e-2));
  }
}

TEST_CASE("a black map gives a Gram vector of zeros and a finite gradient") {
  auto x = zeros<float>({1, 2, 2, 3});
  x.set_requires_grad();
  const auto y = gram_vector(x);
  CHECK(test::close(y, zeros<float>({1, 6}), 0));
  backward(y, ones<float>({1, 6}));
  CHECK(test::close(x.grad(), zeros<float>(x.shape()), 0));
  CHECK(gram_vector(zeros<float>({0, 2, 2, 3})).shape() == Shape{0, 6});
}

TEST_CASE(
    "the Gram vector does not depend on the number of threads or, but for rounding, the instruction set") {
  const auto x = randn<float>({5, 4, 5, 37}, 5), dy = randn<float>({5, 37 * 38 / 2}, 6);
  const auto run = [&] {
    auto leaf = x.clone();
    leaf.set_requires_grad();
    const auto y = gram_vector(leaf);
    backward(y, dy);
    return std::vector{y.detach(), leaf.grad()};
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) <= 1e-5);
}

TEST_CASE("the Gram vector refuses what is no map") {
  CHECK(test::error_of([] {
          gram_vector(zeros<float>({2, 3, 4}));
        }) == "gram_vector: x has shape (2, 3, 4); (N, H, W, g) is expected");
  CHECK(test::error_of([] {
          gram_vector(zeros<float>({2, 0, 3, 4}));
        }) == "gram_vector: x has shape (2, 0, 3, 4), a map without pixels");
}

}  // namespace
}  // namespace gram
