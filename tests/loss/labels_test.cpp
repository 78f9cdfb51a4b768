// SPDX-License-Identifier: MIT
#include "gram/loss/labels.hpp"

#include "support.hpp"

using namespace gram;
using Labels = Tensor<std::int64_t>;

TEST_CASE("smoothing takes from the label and gives to every class the same") {
  CHECK(test::close(smooth_one_hot<double>(Labels({2}, {2, 0}), 4, 0.2),
                    {0.05, 0.05, 0.85, 0.05, 0.85, 0.05, 0.05, 0.05}, 1e-15));
  CHECK(test::close(smooth_one_hot<double>(Labels({1}, {1}), 2), {0, 1}, 0));
}

TEST_CASE("labels and smoothing out of range are refused, the row of the label is named") {
  const auto error = [](const Labels& labels, Index classes, double smoothing) {
    return test::error_of([&] { smooth_one_hot<float>(labels, classes, smoothing); });
  };
  CHECK(error(Labels({3}, {0, 1, 4}), 4, 0) ==
        "smooth_one_hot: the label of row 2 is 4, but the classes are 0 to 3");
  CHECK(error(Labels({1}, {-1}), 4, 0) ==
        "smooth_one_hot: the label of row 0 is -1, but the classes are 0 to 3");
  CHECK(error(Labels({1}, {0}), 4, 1.5) == "smooth_one_hot: smoothing is 1.5; it must lie in [0, 1]");
  CHECK(error(Labels({1}, {0}), 0, 0) == "smooth_one_hot: 0 classes; at least one is needed");
}

TEST_CASE("a reduction divides by elements, by rows, or not at all") {
  CHECK(detail::reduction_scale(Reduction::element_mean, {4, 5}) == 1.0 / 20);
  CHECK(detail::reduction_scale(Reduction::batch_mean, {4, 5}) == 1.0 / 4);
  CHECK(detail::reduction_scale(Reduction::batch_mean, {}) == 1);
  CHECK(detail::reduction_scale(Reduction::sum, {4, 5}) == 1);
}
