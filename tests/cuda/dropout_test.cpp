// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

TEST_CASE_TEMPLATE("the same elements are dropped on both devices", T, float, double, bf16) {
  for (const Index n : {0, 1, 3, 64, 1031})
    for (const double p : {0.1, 0.5, 0.9999}) {
      INFO(n, " with p = ", p);
      const auto f = [&](const auto& x) {
        Rng rng(7);
        return dropout(x[0], p, rng);
      };
      CHECK(test::device_distance<T>(f, test::random_inputs<T>({{n}})) == 0);
    }
  const auto twice = [](const auto& x) {
    Rng rng(7);
    return dropout(rows(x[0], 1, 9), 0.5, rng) + dropout(rows(x[0], 1, 9), 0.25, rng);
  };
  CHECK(test::device_distance<T>(twice, test::random_inputs<T>({{10, 5}})) <= test::device_tolerance<T>);
}

TEST_CASE_TEMPLATE("the same samples are dropped on both devices", T, float, double, bf16) {
  for (const Shape& shape : {Shape{5}, Shape{40, 3}, Shape{7, 2000}, Shape{0, 3}, Shape{3, 0}}) {
    INFO(to_text(shape));
    const auto f = [&](const auto& x) {
      Rng rng(9);
      return drop_path(x[0], 0.4, rng) + drop_path(x[0], 0.6, rng);
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) <= test::device_tolerance<T>);
  }
}

}  // namespace
