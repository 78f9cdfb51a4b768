// SPDX-License-Identifier: MIT
#include <array>

#include "both_devices.hpp"

using namespace gram;
using test::device_distance;
using test::device_tolerance;

TEST_CASE_TEMPLATE("linear maps with a bias and a residual are those of the CPU", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) { return linear(x[0], x[1], x[2], x[3]); };
  // 5 outputs: the stand-in's library adds no bias there; 33 inputs: it has no product of bf16.
  for (const auto& [rows, in, out] :
       {std::array<Index, 3>{200, 48, 24}, {60, 32, 40}, {70, 64, 5}, {90, 33, 24}})
    CHECK(device_distance<T>(f, test::random_inputs<T>({{rows, in}, {out, in}, {out}, {rows, out}})) <
          device_tolerance<T>);
  const auto groups = [](const std::vector<Tensor<T>>& x) {
    return grouped_linear(x[0], x[1], x[2], 3, x[3]);
  };
  CHECK(device_distance<T>(groups, test::random_inputs<T>({{50, 48}, {24, 16}, {24}, {50, 24}})) <
        device_tolerance<T>);
}

TEST_CASE_TEMPLATE("a second gradient of a bias is added to the first", T, float, double, bf16) {
  const auto x = test::random_inputs<T>({{200, 48}, {24, 48}}, 5);
  const auto f = [&](const Tensor<T>& bias) {
    const Device at = bias.device();
    return linear(x[0].to(at), x[1].to(at).clone().set_requires_grad(), bias);
  };
  CHECK(test::added_gradient_distance<T>(f, converted<T>(randn<float>({24}, 7))) < device_tolerance<T>);
}

TEST_CASE_TEMPLATE("feed_forward is that of the CPU", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) {
    return feed_forward(x[0], {x[1], x[2], x[3], x[4]}, x[5]);
  };
  for (const auto& [rows, in, hidden, out] :
       {std::array<Index, 4>{70, 24, 96, 24}, {3, 5, 7, 9}, {40, 16, 33, 8}})
    CHECK(
        device_distance<T>(f, test::random_inputs<T>(
                                  {{rows, in}, {hidden, in}, {hidden}, {out, hidden}, {out}, {rows, out}})) <
        2 * device_tolerance<T>);
}
