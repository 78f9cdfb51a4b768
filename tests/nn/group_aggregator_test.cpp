// SPDX-License-Identifier: MIT
#include "gram/nn/group_aggregator.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("the aggregator agrees with the released code", T, float, double) {
  for (const bool training : {true, false}) {
    const Golden golden(training ? "gmf_aggregator_train" : "gmf_aggregator_eval");
    if (!golden.available()) return;
    Rng rng(1);
    GroupAggregator<T> layer({.channels = 40}, rng);
    train(layer, training);
    const Agreement error = test::compare<T>(
        golden, layer,
        [&](const auto& in) {  // the file has q, k and v one after another
          const Tensor<T> packed = permute(reshape(in[0], {3, 2, 16, 40}), {1, 2, 0, 3});
          const auto y = layer(reshape(packed, {2, 4, 4, 120}));
          return std::vector<Tensor<T>>{permute(reshape(y.qkv, {3, 2, 16, 8, 4}), {0, 1, 3, 2, 4}), y.local};
        },
        {"qkv"}, {"qkv_mixed", "local"});
    INFO(error.output, " ", error.gradient);
    CHECK(error.output < 1e-6);
    CHECK(error.gradient < 1e-6);
  }
}

TEST_CASE("the aggregator differentiates, with running and with batch statistics") {
  Rng rng(2);
  GroupAggregator<double> layer({.channels = 10}, rng);
  const auto both = [&](const auto& x) {
    const auto y = layer(x);
    return std::vector<Tensor<double>>{y.qkv, y.local};
  };
  const auto x = randn<double>({2, 3, 5, 30}, 1);
  CHECK(gradcheck(both, x) < 1e-6);
  eval(layer);
  CHECK(gradcheck(both, x) < 1e-6);
}

TEST_CASE("queries, keys and values go through the same aggregators") {
  Rng rng(3);
  GroupAggregator<double> layer({.channels = 15}, rng);
  eval(layer);
  const auto q = randn<double>({2, 3, 4, 15}, 1), k = randn<double>({2, 3, 4, 15}, 2);
  const auto mixed = layer(concat<double>({q, k, q}, 3)).qkv;
  REQUIRE(mixed.shape() == Shape{6, 3, 4, 12});
  CHECK(test::identical(rows(mixed, 0, 2), rows(mixed, 4, 6)));
  CHECK_FALSE(test::close(rows(mixed, 0, 2), rows(mixed, 2, 4), 0.1));
}

TEST_CASE("batch statistics are those of queries, keys and values together") {
  Rng rng(3);
  GroupAggregator<double> layer({.channels = 5}, rng);
  const auto qkv = randn<double>({2, 3, 4, 15}, 1);
  layer(qkv);
  double mean = 0, square = 0;
  for (Index i = 0; i < qkv.size(); i += 5)
    mean += qkv.data()[i] / 72, square += qkv.data()[i] * qkv.data()[i];
  CHECK(layer.norm[0].running_mean.data()[0] == doctest::Approx(0.1 * mean));
  CHECK(layer.norm[0].running_var.data()[0] == doctest::Approx(0.9 + 0.1 * (square - 72 * mean * mean) / 71));
}

TEST_CASE("the aggregator refuses channels that do not make five segments") {
  Rng rng(1);
  CHECK(test::error_of([&] { GroupAggregator<float>({.channels = 12}, rng); }) ==
        "GroupAggregator: 12 channels; a positive multiple of five, the number of segments, is needed");
}
