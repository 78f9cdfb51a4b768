// SPDX-License-Identifier: MIT
#include "gram/cpu/covariance.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// Mean and covariance by their definition.
template <Scalar T>
std::vector<Tensor<double>> expected(const Tensor<T>& x) {
  const Index rows = x.dim(0), columns = x.dim(1);
  const auto n = static_cast<double>(rows);
  Tensor<double> mean = zeros<double>({columns}), result = zeros<double>({columns, columns});
  const Tensor<double> wide = converted<double>(x);
  for (Index r = 0; r < rows; ++r)
    for (Index i = 0; i < columns; ++i) mean.data()[i] += wide.data()[r * columns + i] / n;
  for (Index r = 0; r < rows; ++r) {
    const double* const row = wide.data() + r * columns;
    for (Index i = 0; i < columns; ++i) {
      const double share = (row[i] - mean.data()[i]) / n;
      double* const to = result.data() + i * columns;
      for (Index j = 0; j < columns; ++j) to[j] += share * (row[j] - mean.data()[j]);
    }
  }
  return {mean, result};
}

template <Scalar T>
std::vector<Tensor<accum_t<T>>> covariance_of(const Tensor<T>& x) {
  using A = accum_t<T>;
  Tensor<A> mean({x.dim(1)}), result({x.dim(1), x.dim(1)});
  kernels::covariance(Cpu{}, x.data(), x.dim(0), x.dim(1), mean.data(), result.data());
  return {mean, result};
}

}  // namespace

TEST_CASE_TEMPLATE("covariance is its definition, symmetric, the same for any number of threads", T, float,
                   double, bf16) {
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-13 : 3e-6;
  for (const Index rows : {1, 2, 65, 600, 2100})
    for (const Index columns : {1, 3, 17, 40, 70}) {
      CAPTURE(rows);
      CAPTURE(columns);
      const auto x = converted<T>(randn<double>({rows, columns}, 1));
      const auto exact = expected(x);
      test::for_each_isa([&] {
        const auto found = covariance_of(x);
        CHECK(test::distance(converted<double>(found[0]), exact[0]) < tolerance);
        CHECK(test::distance(converted<double>(found[1]), exact[1]) < tolerance);
        CHECK(test::same_for_any_threads([&] { return covariance_of(x); }));
        bool symmetric = true;
        for (Index i = 0; i < columns; ++i)
          for (Index j = 0; j < i; ++j) symmetric = symmetric && found[1].at({i, j}) == found[1].at({j, i});
        CHECK(symmetric);
      });
    }
}

TEST_CASE("columns far from zero, and parts far from each other, keep the digits of their covariance") {
  const Index rows = 4000, columns = 20;
  for (const bool apart : {false, true}) {
    const auto x = generate<float>({rows, columns}, [&](Index i) {
      return 1000.0 * static_cast<double>(i % columns) + (apart && i / columns > 3000 ? 1e3 : 0.0) +
             RandomKey{3, 0}.normal(static_cast<std::uint64_t>(i));
    });
    CHECK(test::distance(converted<double>(covariance_of(x)[1]), expected(x)[1]) < 2e-6);
  }
}
