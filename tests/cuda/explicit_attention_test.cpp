// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

/// v (N, H, W, C) and radii of heads.
struct DistanceCase {
  Shape v;
  Index heads;
  bool normalize;
};
const std::vector<DistanceCase> distance_cases{{{1, 1, 1, 1}, 1, true},   {{2, 5, 3, 8}, 2, true},
                                               {{1, 9, 17, 8}, 1, true},  {{2, 3, 4, 6}, 3, false},
                                               {{1, 4, 20, 32}, 4, true}, {{0, 4, 4, 8}, 1, true}};

}  // namespace

TEST_CASE_TEMPLATE("Gaussian attention is that of the CPU", T, float, double) {
  for (const DistanceCase& c : distance_cases) {
    CAPTURE(to_text(c.v));
    const auto f = [&](const std::vector<Tensor<T>>& in) {
      return explicit_attention(in[0], in[1], {.normalize = c.normalize});
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({c.v, {c.heads}})) <=
          3 * test::device_tolerance<T>);
    const auto of_v = [&](const Tensor<T>& v) {
      return explicit_attention(v, full<T>({c.heads}, T(0.3), v.device()), {.normalize = c.normalize});
    };
    CHECK(test::added_gradient_distance(of_v, randn<T>(c.v, 3)) <= test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("Gaussian attention in bf16 is that of the CPU", T, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& in) {
    return explicit_attention(in[0], cast<float>(in[1]));
  };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{2, 5, 3, 8}, {2}})) <=
        test::device_tolerance<T>);
}

TEST_CASE_TEMPLATE("maps of distances and the gradients of their radii are those of the CPU", T, float,
                   double, bf16) {
  for (const auto decay : {AttentionDecay::gaussian, AttentionDecay::exponential})
    for (const bool normalize : {true, false})
      for (const bool self : {true, false})
        for (const Pair size : {Pair(1, 2), Pair(3, 5), Pair(9, 4)}) {
          const auto f = [&](const std::vector<Tensor<T>>& in) {
            return explicit_attention_map(in[0], size,
                                          {.decay = decay, .normalize = normalize, .self = self});
          };
          CHECK(test::device_distance<T>(f, test::random_inputs<T>({{2}})) <= 2 * test::device_tolerance<T>);
        }
}
