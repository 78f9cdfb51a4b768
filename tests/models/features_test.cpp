// SPDX-License-Identifier: MIT
#include "gram/models/features.hpp"

#include "gram/nn/activation.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("the aggregation of the stages agrees with the released code", T, float, double) {
  const Golden golden("ga_aggregate");
  if (!golden.available()) return;
  Activate<T> no_parameters;
  const Agreement error =
      test::compare<T>(golden, no_parameters,
                       [](const auto& in) {
                         return std::vector<Tensor<T>>{aggregate<T>({in[0], in[1], in[2], in[3]}, 2)};
                       },
                       {"s1", "s2", "s3", "s4"}, {"y"});
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE("maps of any size are brought to the reference, and their gradients back") {
  const auto f = [](const Tensor<double>& large, const Tensor<double>& middle, const Tensor<double>& small) {
    return aggregate<double>({large, middle, small}, 1);
  };
  CHECK(f(randn<double>({2, 7, 5, 1}, 1), randn<double>({2, 3, 3, 2}, 2), randn<double>({2, 2, 1, 3}, 3))
            .shape() == Shape{2, 3, 3, 6});
  CHECK(gradcheck(f, randn<double>({2, 7, 5, 1}, 1), randn<double>({2, 3, 3, 2}, 2),
                  randn<double>({2, 2, 1, 3}, 3)) < 1e-6);
  CHECK(total_channels({1, 2, 3}) == 6);
  CHECK(test::error_of([] {
          aggregate<float>({zeros<float>({1, 2, 2, 1})}, 1);
        }) == "aggregate: reference 1 of 1 maps");
}
