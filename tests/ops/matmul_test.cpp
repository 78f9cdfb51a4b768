// SPDX-License-Identifier: MIT
#include "gram/ops/matmul.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape a, b;  // before any transposition
};
// matrices, vectors as matrices, batches, one b for a batch, nothing to sum, nothing at all
const Case cases[] = {{{3, 4}, {4, 5}},
                      {{1, 1}, {1, 1}},
                      {{1, 7}, {7, 1}},
                      {{2, 3, 4}, {2, 4, 5}},
                      {{2, 3, 2, 4}, {2, 3, 4, 3}},
                      {{2, 3, 4}, {4, 5}},
                      {{2, 2, 3, 4}, {4, 5}},
                      {{3, 0}, {0, 2}},
                      {{0, 3, 4}, {0, 4, 5}},
                      {{0, 3, 4}, {4, 5}},
                      {{2, 0, 4}, {4, 5}}};

Shape transposed(const Shape& s) { return s.with(-1, s[-2]).with(-2, s[-1]); }

template <class T>
Tensor<T> naive(const Tensor<T>& a, const Tensor<T>& b, MatmulOptions o) {
  const Index m = a.dim(o.transpose_a ? -1 : -2), k = a.dim(o.transpose_a ? -2 : -1),
              n = b.dim(o.transpose_b ? -2 : -1);
  Tensor<T> c(a.shape().with(-2, m).with(-1, n));
  for (Index i = 0; i < c.size(); ++i) {
    const Index batch = i / (m * n), row = i / n % m, column = i % n;
    const T* x = a.data() + batch * m * k;
    const T* y = b.data() + (b.rank() == 2 ? 0 : batch * k * n);
    double sum = 0;
    for (Index t = 0; t < k; ++t)
      sum += static_cast<double>(x[o.transpose_a ? t * m + row : row * k + t]) *
             static_cast<double>(y[o.transpose_b ? column * k + t : t * n + column]);
    c.data()[i] = static_cast<T>(sum);
  }
  return c;
}

template <class F>
void for_each_case(F f) {
  for (const Case& c : cases)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        CAPTURE(to_text(c.a));
        CAPTURE(to_text(c.b));
        CAPTURE(transpose_a);
        CAPTURE(transpose_b);
        f(transpose_a ? transposed(c.a) : c.a, transpose_b ? transposed(c.b) : c.b,
          MatmulOptions{transpose_a, transpose_b});
      }
}

}  // namespace

TEST_CASE_TEMPLATE("matmul agrees with three loops", T, float, double, bf16) {
  const double tolerance = std::is_same_v<T, double> ? 1e-14 : std::is_same_v<T, float> ? 2e-6 : 1e-2;
  for_each_case([&](const Shape& a, const Shape& b, MatmulOptions options) {
    const auto x = randn<T>(a, 1), y = randn<T>(b, 2);
    CHECK(test::close(matmul(x, y, options), naive(x, y, options), tolerance));
  });
}

TEST_CASE("matmul's gradients agree with central differences") {
  for_each_case([](const Shape& a, const Shape& b, MatmulOptions options) {
    CHECK(gradcheck([&](const auto& x, const auto& y) { return matmul(x, y, options); }, randn<double>(a, 1),
                    randn<double>(b, 2)) < 1e-6);
  });
}

TEST_CASE("gradients of matmul add up when an input is used twice") {
  for (const bool transpose : {false, true})
    CHECK(gradcheck([&](const auto& x) { return matmul(matmul(x, x, {.transpose_a = transpose}), x); },
                    randn<double>({2, 3, 3}, 1)) < 1e-6);
}

TEST_CASE("the gradient of one b for a batch is the sum over the batch, also into an existing gradient") {
  auto b = randn<double>({4, 5}, 2);
  b.set_requires_grad();
  const auto a = randn<double>({3, 4, 2}, 1);
  const auto objective = [&] { return matmul(a, b, {.transpose_a = true}); };
  backward(objective(), ones<double>({3, 2, 5}));
  const auto once = b.grad().clone();
  backward(objective(), ones<double>({3, 2, 5}));
  for (Index i = 0; i < 4; ++i) {
    double sum = 0;
    for (Index n = 0; n < 3; ++n) sum += a.at({n, i, 0}) + a.at({n, i, 1});
    CHECK(once.at({i, 3}) == doctest::Approx(sum));
    CHECK(b.grad().at({i, 3}) == doctest::Approx(2 * sum));
  }
}

TEST_CASE("matmul has the same bits for any number of threads") {
  const auto a = randn<float>({3, 90, 110}, 1), b = randn<float>({3, 110, 130}, 2);
  CHECK(test::same_for_any_threads([&] { return std::vector{matmul(a, b)}; }));
}

TEST_CASE("matmul says what does not fit") {
  const auto z = [](const Shape& shape) { return zeros<float>(shape); };
  CHECK(test::error_of([&] {
          matmul(z({3}), z({3, 4}));
        }) == "matmul: a has shape (3) and b (3, 4); matrices or batches of matrices are needed");
  CHECK(test::error_of([&] {
          matmul(z({3, 4}), z({2, 4, 5}));
        }) == "matmul: a has shape (3, 4), but b (2, 4, 5); b is one matrix or has the leading axes of a");
  CHECK(test::error_of([&] {
          matmul(z({2, 3, 4}), z({3, 4, 5}));
        }) == "matmul: a has shape (2, 3, 4), but b (3, 4, 5); the leading axes must agree");
  CHECK(test::error_of([&] {
          matmul(z({3, 4}), z({5, 6}));
        }) == "matmul: a (3, 4) has 4 columns, but b (5, 6) has 5 rows");
  CHECK(test::error_of([&] {
          matmul(z({3, 4}), z({4, 6}), {.transpose_a = true, .transpose_b = true});
        }) == "matmul: a (3, 4), transposed, has 3 columns, but b (4, 6), transposed, has 6 rows");
}
