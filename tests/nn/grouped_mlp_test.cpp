// SPDX-License-Identifier: MIT
#include "gram/nn/grouped_mlp.hpp"

#include "nn/golden_module.hpp"

using namespace gram;

namespace {

struct Nothing {
  void visit(auto&&) {}
};

}  // namespace

TEST_CASE_TEMPLATE("the grouped MLP agrees with the released code", T, float, double) {
  const test::Golden golden("ga_group_mlp");
  if (!golden.available()) return;
  Rng rng(1);
  GroupedMlp<T> mlp({.channels = 32, .hidden = 128, .groups = 4}, rng);
  const test::Agreement error = test::compare<T>(golden, mlp);
  CHECK(error.output < 1e-5);
  CHECK(error.gradient < 2e-5);
}

TEST_CASE_TEMPLATE("the shuffle of the Gramian heads agrees with the released code", T, float, double) {
  const test::Golden golden("ga_channel_shuffle");
  if (!golden.available()) return;
  Nothing nothing;
  const test::Agreement error =
      test::compare<T>(golden, nothing,
                       [](const auto& in) {
                         return std::vector<Tensor<T>>{channel_shuffle(in[0], 4, ShuffleOrder::gram_head)};
                       },
                       {"x"}, {"y"});
  CHECK(error.output == 0);
  CHECK(error.gradient == 0);
}

TEST_CASE("a grouped MLP refuses groups that do not divide its channels") {
  Rng rng(1);
  CHECK(test::error_of([&] { GroupedMlp<float>({.channels = 30, .hidden = 120, .groups = 4}, rng); }) ==
        "Pointwise: 4 groups; they must divide 30 inputs and 120 outputs");
}
