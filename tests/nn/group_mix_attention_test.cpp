// SPDX-License-Identifier: MIT
#include "gram/nn/group_mix_attention.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

TEST_CASE_TEMPLATE("Group-Mix attention agrees with the released code", T, float, double) {
  const Golden golden("gmf_attention");
  if (!golden.available()) return;
  Rng rng(1);
  GroupMixAttention<T> layer({.channels = 40}, rng);
  eval(layer);
  const Agreement error =
      test::compare<T>(golden, layer,
                       [&](const auto& in) {
                         return std::vector<Tensor<T>>{layer(reshape(in[0], {2, 4, 4, 40}))};
                       },
                       {"x"}, {"y"});
  INFO(error.output, " ", error.gradient);
  CHECK(error.output < 1e-6);
  CHECK(error.gradient < 1e-6);
}

TEST_CASE("Group-Mix attention differentiates, with running and with batch statistics") {
  Rng rng(2);
  GroupMixAttention<double> layer({.channels = 10}, rng);
  layer.qkv.weight.assign(randn<double>({30, 10}, 4));
  layer.proj.weight.assign(randn<double>({10, 10}, 5));
  const auto x = randn<double>({2, 3, 2, 10}, 1);
  CHECK(gradcheck([&](const auto& v) { return layer(v); }, x) < 1e-6);
  eval(layer);
  CHECK(gradcheck([&](const auto& v) { return layer(v); }, x) < 1e-6);
}

TEST_CASE("Group-Mix attention counts two products of each token with the context of its head") {
  Rng rng(1);
  GroupMixAttention<float> layer({.channels = 20}, rng);
  name_parameters(layer);
  CallLog log;
  layer(randn<float>({2, 3, 5, 20}, 1));
  Index matmuls = 0, products = 0;
  for (const LayerCall& call : log.calls()) matmuls += call.matmuls, products += call.products;
  const Index N = 15, C = 20, s = 4, T = 16, c = 2;
  CHECK(matmuls == 2 * (2 * N * T * c));
  CHECK(products ==
        2 * N * (4 * C * C + 3 * (83 * s + 3 * s * s) + 27 * s + 3 * s * s + c * (18 + 75 + 147)));
}

TEST_CASE("Group-Mix attention refuses widths and inputs that do not fit") {
  Rng rng(1);
  CHECK(test::error_of([&] { GroupMixAttention<float>({.channels = 25}, rng); }) ==
        "GroupMixAttention: 25 channels; a positive multiple of ten is needed");
  GroupMixAttention<float> layer({.channels = 20}, rng);
  name_parameters(layer);
  CHECK(test::error_of([&] {
          layer(zeros<float>({1, 9, 20}));
        }) == "qkv: GroupMixAttention: input has shape (1, 9, 20); (N, H, W, C) is needed");
}
