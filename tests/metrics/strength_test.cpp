// SPDX-License-Identifier: MIT
#include "gram/metrics/strength.hpp"

#include "golden.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE_TEMPLATE("strength, correlation and bound agree with the reference", T, float, double) {
  const test::Golden golden("ga_strength_correlation");
  if (!golden.available()) return;
  const auto all = golden.tensor<T>("in/logits");
  const auto labels = converted<std::int64_t>(golden.tensor<std::int32_t>("in/label"));
  std::vector<Tensor<T>> logits;
  for (Index i = 0; i < all.dim(0); ++i)
    logits.push_back(all.alias_rows(i, i + 1).alias({all.dim(1), all.dim(2)}));
  const HeadStatistics s = head_statistics(logits, labels);
  CHECK(s.strength == doctest::Approx(golden.tensor<double>("out/strength").item()).epsilon(1e-6));
  CHECK(s.correlation == doctest::Approx(golden.tensor<double>("out/correlation").item()).epsilon(1e-6));
  CHECK(s.bound == doctest::Approx(golden.tensor<double>("out/bound").item()).epsilon(1e-6));
  CHECK(test::close(s.margins, golden.tensor<double>("out/margin"), 1e-6));
  CHECK(test::close(s.pearson, golden.tensor<double>("out/pearson"), 1e-6));
}

TEST_CASE("heads that agree perfectly have correlation 1, and a head that never varies is left out") {
  const Tensor<std::int64_t> labels({4}, {0, 1, 0, 1});
  const Tensor<double> good({4, 2}, {1, 0, 0, 1, 1, 0, 1, 0});   // right, right, right, wrong
  const Tensor<double> fixed({4, 2}, {1, 0, 0, 1, 1, 0, 0, 1});  // always right
  const HeadStatistics two = head_statistics<double>({good, good}, labels);
  CHECK(two.strength == doctest::Approx(0.5));
  CHECK(two.correlation == doctest::Approx(1));
  CHECK(two.bound == doctest::Approx(3));
  const HeadStatistics three = head_statistics<double>({good, fixed, good}, labels);
  CHECK(three.correlation == doctest::Approx(1));
  CHECK(std::isnan(three.pearson.at({0, 1})));
  CHECK(std::isnan(head_statistics<double>({good}, labels).correlation));
}

TEST_CASE("heads and labels that do not belong together are refused") {
  const Tensor<std::int64_t> labels({2}, {0, 3});
  CHECK(test::error_of([&] { head_statistics<float>({}, labels); }) ==
        "head_statistics: 0 heads and 2 samples; at least one of each is needed");
  CHECK(test::error_of([&] {
          head_statistics<float>({zeros<float>({2, 3})}, labels);
        }) == "head_statistics: label 3 lies outside [0, 3)");
}
