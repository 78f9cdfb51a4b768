// SPDX-License-Identifier: MIT
#include "gram/train/meter.hpp"

#include "ranks.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("a meter weighs batches by their size and aggregates heads by the sum of logits") {
  Meter meter;
  const Tensor<float> a({2, 3}, {3, 0, 0, 0, 2, 0}), b({2, 3}, {0, 1, 0, 0, 0, 5});
  meter.add<float>(1.0, {a, b}, Tensor<std::int64_t>({2}, {0, 2}));
  CHECK(meter.head_accuracy() == std::vector<double>{0.5, 0.5});
  CHECK(meter.accuracy() == 1.0);  // (3, 1, 0) and (0, 2, 5)
  meter.add<float>(4.0, {a.alias_rows(0, 1), b.alias_rows(0, 1)}, Tensor<std::int64_t>({1}, {1}));
  CHECK(meter.loss() == doctest::Approx(2.0));
  CHECK(meter.images() == 3);
  CHECK(meter.accuracy() == doctest::Approx(2.0 / 3));
}

TEST_CASE("a meter can be made that of all processes") {
  test::on_ranks(3, [](Communicator& communicator) {
    Meter meter;
    const Tensor<float> z({1, 2}, {1, 0});
    for (int i = 0; i <= communicator.rank(); ++i)  // 1, 2 and 3 images
      meter.add<float>(communicator.rank(), {z, z},
                       Tensor<std::int64_t>({1}, {communicator.rank() == 2 ? 1 : 0}));
    meter.all_reduce(communicator);
    require<Error>(meter.images() == 6 && std::abs(meter.loss() - 8.0 / 6) < 1e-12 &&
                       meter.accuracy() == 0.5 && meter.head_accuracy() == std::vector<double>{0.5, 0.5},
                   "images ", meter.images(), ", loss ", meter.loss(), ", accuracy ", meter.accuracy());
  });
}

TEST_CASE("logits that do not match the labels are refused") {
  Meter meter;
  CHECK(test::error_of([&] {
          meter.add<float>(0, {zeros<float>({2, 3})}, zeros<std::int64_t>({4}));
        }) == "Meter::add: logits of shape (2, 3) for 4 labels and 3 classes");
}

TEST_CASE("a row without a number is wrong, whatever its label") {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  const auto correct = [](const std::vector<float>& row, std::int64_t label) {
    Meter meter;
    meter.add(1.0, std::vector{Tensor<float>({1, 3}, row)}, Tensor<std::int64_t>({1}, {label}));
    CHECK(meter.accuracy() == meter.head_accuracy()[0]);
    return meter.accuracy() == 1;
  };
  for (const std::int64_t label : {0, 1, 2}) {
    CAPTURE(label);
    CHECK_FALSE(correct({nan, nan, nan}, label));
    CHECK(correct({nan, 1, 0}, label) == (label == 1));
    CHECK(correct({nan, -inf, nan}, label) == (label == 1));
    CHECK(correct({-inf, -inf, -inf}, label) == (label == 0));
    CHECK(correct({2, 3, 3}, label) == (label == 1));
  }
}
