// SPDX-License-Identifier: MIT
#include "gram/cpu/float_copy.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;

TEST_CASE("bf16 arrays are widened, and absent ones stay absent") {
  const std::vector<bf16> x{bf16(1.5F), bf16(-3.0F), bf16(0.25F)};
  const cpu::FloatCopy copy(x.data(), 3), none(nullptr, 3);
  CHECK(std::vector<float>(copy.data(), copy.data() + 3) == std::vector<float>{1.5F, -3.0F, 0.25F});
  CHECK(none.data() == nullptr);
}

TEST_CASE("through_float writes results, or hands over what is there to be added to") {
  std::vector<bf16> y{bf16(1.0F), bf16(2.0F)};
  cpu::through_float(y.data(), 2, true, [](float* f) { f[0] += 4, f[1] += 8; });
  CHECK(static_cast<float>(y[0]) == 5);
  CHECK(static_cast<float>(y[1]) == 10);
  cpu::through_float(y.data(), 2, false, [](float* f) { f[0] = 7, f[1] = 1.00390625F; });
  CHECK(static_cast<float>(y[0]) == 7);
  CHECK(static_cast<float>(y[1]) == 1);  // 1 + 2^-8 lies between two bf16 numbers and goes to the even one
}
