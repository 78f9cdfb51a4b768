// SPDX-License-Identifier: MIT
#include "gram/core/gradient_sink.hpp"

#include <doctest/doctest.h>

using namespace gram;

TEST_CASE("a sink without memory says that no gradient is wanted") {
  float value = 0;
  CHECK_FALSE(GradientSink<float>{});
  CHECK(GradientSink<float>{&value});
  CHECK_FALSE(GradientSink<float>{&value}.add);
}
