// SPDX-License-Identifier: MIT
// The steps of the backward pass; the whole of it is compared with the textbook form's in
// tests/ops/class_attention_test.cpp.
#include "gram/cpu/class_attention_grad.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, double> ? 1e-13 : 5e-6;

/// Rows x (N, x_rows, C) and dy (N, dy_rows, C), of which the first M heads belong to M classifiers.
template <class T>
struct AffineProblem {
  Index N, M, heads, C, x_rows, dy_rows;
  Tensor<T> x = randn<T>({N, x_rows, C}, 1), dy = randn<T>({N, dy_rows, C}, 2), g = randn<T>({M, C}, 3),
            old = randn<T>({2, M, C}, 4);

  /// dy afterwards, and (dg, db).
  std::vector<Tensor<T>> computed(bool with_db) const {
    std::vector<kernels::ClassAttentionPointers<T>> weights(static_cast<std::size_t>(M));
    for (Index m = 0; m < M; ++m) weights[static_cast<std::size_t>(m)].norm_weight = g.data() + m * C;
    const Tensor<T> scaled = dy.clone(), grads = old.clone();
    kernels::affine_grad(
        {.images = N, .tokens = 1, .channels = C, .width = 1, .heads = heads, .classifiers = M, .epsilon = 0},
        heads, x.data(), x_rows * C, scaled.data(), dy_rows * C, heads * C, weights.data(), grads.data(),
        with_db ? grads.data() + M * C : nullptr);
    return {scaled, grads};
  }
  std::vector<Tensor<T>> expected(bool with_db) const {
    const Tensor<T> scaled = dy.clone();
    std::vector<double> sums(static_cast<std::size_t>(2 * M * C));
    for (Index n = 0; n < N; ++n)
      for (Index row = 0; row < M * heads; ++row)
        for (Index c = 0; c < C; ++c) {
          const Index m = row / heads;
          const double d = static_cast<double>(dy.at({n, row, c}));
          sums[static_cast<std::size_t>(m * C + c)] += d * static_cast<double>(x.at({n, row, c}));
          sums[static_cast<std::size_t>((M + m) * C + c)] += with_db ? d : 0;
          scaled.at({n, row, c}) = static_cast<T>(d * static_cast<double>(g.at({m, c})));
        }
    return {scaled, generate<T>(old.shape(), [&](Index i) {
              return static_cast<double>(old.data()[i]) + sums[static_cast<std::size_t>(i)];
            })};
  }
};

}  // namespace

TEST_CASE_TEMPLATE("the gradients of scale and shift are sums over the rows of their classifier alone", T,
                   float, double) {
  test::for_each_isa([] {
    for (const Index C : {1, 37, 128, 300})  // one block of columns, and several with a remainder
      for (const bool with_db : {false, true}) {
        const AffineProblem<T> problem{.N = 5, .M = 3, .heads = 2, .C = C, .x_rows = 7, .dy_rows = 12};
        const auto computed = problem.computed(with_db), expected = problem.expected(with_db);
        CHECK(test::close(computed[0], expected[0], tolerance<T>));
        CHECK(test::close(computed[1], expected[1], tolerance<T>));
        CHECK(test::same_for_any_threads([&] { return problem.computed(with_db); }));
      }
  });
}

TEST_CASE("sums of rows go where a gradient is wanted, fresh or added") {
  const auto x = randn<double>({9, 4}, 1);
  const auto fresh = full<double>({4}, 7), added = full<double>({4}, 7);
  kernels::sum_rows_into(GradientSink<double>{}, 9, 4, x.data());
  kernels::sum_rows_into(GradientSink<double>{fresh.data(), false}, 9, 4, x.data());
  kernels::sum_rows_into(GradientSink<double>{added.data(), true}, 9, 4, x.data());
  for (Index c = 0; c < 4; ++c) {
    double sum = 0;
    for (Index r = 0; r < 9; ++r) sum += x.at({r, c});
    CHECK(fresh.at({c}) == doctest::Approx(sum));
    CHECK(added.at({c}) == doctest::Approx(7 + sum));
  }
}

TEST_CASE("fresh memory of a sink is cleared, other memory and no memory are left alone") {
  const auto x = full<double>({4}, 7);
  CHECK(kernels::cleared(GradientSink<double>{}, 4) == nullptr);
  CHECK(kernels::cleared(GradientSink<double>{x.data(), true}, 4) == x.data());
  CHECK(x.at({3}) == 7);
  CHECK(kernels::cleared(GradientSink<double>{x.data(), false}, 3) == x.data());
  CHECK(x.at({2}) == 0);
  CHECK(x.at({3}) == 7);
}
