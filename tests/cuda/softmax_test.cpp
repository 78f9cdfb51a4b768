// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

const std::pair<Shape, int> softmax_cases[] = {
    {{1, 1}, 1}, {{3, 2}, 1},   {{5, 33}, 1},    {{3, 1000}, 1}, {{2, 2500}, 1},  {{0, 7}, 1},
    {{3, 0}, 1}, {{300, 7}, 0}, {{2, 9, 13}, 1}, {{2, 5, 3}, 0}, {{2100, 260}, 1}};

TEST_CASE_TEMPLATE("softmax and its logarithm are those of the CPU", T, float, double, bf16) {
  for (const auto& [shape, axis] : softmax_cases) {
    if (shape[0] > 1000 && !std::is_same_v<T, bf16>) continue;
    const std::string which = text(to_text(shape), " along ", axis);
    INFO(which);
    const auto inputs = test::random_inputs<T>({shape});
    const auto plain = [&, along = axis](const auto& x) { return softmax(x[0], along); };
    CHECK(test::device_distance<T>(plain, inputs) <= test::device_tolerance<T>);
    const auto logarithm = [&, along = axis](const auto& x) { return log_softmax(x[0], along) + x[0]; };
    CHECK(test::device_distance<T>(logarithm, inputs) <= 3 * test::device_tolerance<T>);
  }
}

TEST_CASE("softmax takes large values and masks, and gives NaN on") {
  const Tensor<float> x({4, 3}, {1e30F, 1e30F, 0, -HUGE_VALF, 2, 1, 88, 100, -88, std::nanf(""), 0, 0});
  for (const bool logarithm : {false, true}) {
    const auto f = [&](const Tensor<float>& t) { return logarithm ? log_softmax(t) : softmax(t); };
    const auto expected = f(x), found = f(x.to(Device::cuda())).to(Device::cpu());
    for (Index i = 0; i < x.size(); ++i) {
      const float a = found.data()[i], b = expected.data()[i];
      INFO(i, ": ", a, " and ", b);
      CHECK((a == b || (std::isnan(a) && std::isnan(b)) ||
             std::abs(a - b) <= 1e-6F * std::max(1.0F, std::abs(b))));
    }
  }
}

TEST_CASE_TEMPLATE("lengths become one as on the CPU", T, float, double, bf16) {
  for (const auto& [shape, axis] : softmax_cases) {
    if (shape[0] > 1000) continue;
    const std::string which = text(to_text(shape), " along ", axis);
    INFO(which);
    auto inputs = test::random_inputs<T>({shape});
    for (Index i = 0; i < inputs[0].size() && i < shape[1]; ++i)
      inputs[0].data()[i] = T(0.0F);  // below epsilon
    const auto f = [&, along = axis](const auto& x) { return l2_normalize(x[0], along, 0.5) + x[0]; };
    CHECK(test::device_distance<T>(f, inputs) <= 2 * test::device_tolerance<T>);
  }
}

}  // namespace
