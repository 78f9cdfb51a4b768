// SPDX-License-Identifier: MIT
#include "gram/metrics/accuracy.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("a label counts when fewer than k entries come before it; the lower class wins a tie") {
  const Tensor<float> logits({4, 3}, {3, 2, 1, 1, 2, 3, 5, 5, 5, 0, NAN, 1});
  const Tensor<std::int64_t> labels({4}, {0, 0, 1, 1});
  CHECK(count_correct(logits, labels) == 1);
  CHECK(count_correct(logits, labels, 2) == 2);
  CHECK(count_correct(logits, labels, 3) == 3);  // the row without a number stays wrong
}

TEST_CASE("the aggregated prediction is that of the sum of logits, not the majority") {
  const Tensor<std::int64_t> labels({1}, {1});
  const std::vector<Tensor<float>> heads{{{1, 2}, {1, 0}}, {{1, 2}, {1, 0}}, {{1, 2}, {0, 5}}};
  Accuracy accuracy(2);
  accuracy.add(heads, labels);
  CHECK(accuracy.top1() == 1);
  CHECK(accuracy.topk() == 1);
  CHECK(accuracy.head(0) == 0);
  CHECK(accuracy.head(2) == 1);
  accuracy.add(std::vector{heads[0], heads[0], heads[0]}, labels);
  CHECK(accuracy.samples() == 2);
  CHECK(accuracy.top1() == 0.5);
  CHECK(accuracy.heads() == 3);
  CHECK(aggregate(heads).at({0, 1}) == 5);
}

TEST_CASE("bf16 logits are summed in float") {
  const Tensor<bf16> one({1, 2}, {bf16(256.0F), bf16(0.0F)}), other({1, 2}, {bf16(1.0F), bf16(0.0F)});
  CHECK(aggregate<bf16>({one, other}).at({0, 0}) == 257.0F);
}

TEST_CASE("accuracy refuses what does not belong together; without samples it is 0") {
  const Tensor<std::int64_t> labels({2}, {0, 1});
  CHECK(Accuracy().top1() == 0);
  CHECK(test::error_of([&] {
          count_correct(zeros<float>({3, 4}), labels);
        }) == "count_correct: labels have shape (2), but logits (3, 4); one label for each row is needed");
  CHECK(test::error_of([&] {
          count_correct(zeros<float>({2, 4}), labels, 0);
        }) == "count_correct: k is 0; it must be positive");
  CHECK(test::error_of([&] {
          aggregate<float>({zeros<float>({2, 4}), zeros<float>({2, 5})});
        }) == "aggregate: head 1 has logits of shape (2, 5), head 0 of shape (2, 4)");
}
