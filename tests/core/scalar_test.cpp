// SPDX-License-Identifier: MIT
#include "gram/core/scalar.hpp"

#include <cmath>
#include <limits>

#include "gram/cpu/copy.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("every bf16 survives the way through float") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const float value = std::bit_cast<float>(bits << 16U);
    const bf16 back(value);
    wrong += std::isnan(value) ? !std::isnan(static_cast<float>(back)) : back.bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("bf16 rounds to nearest, ties to even") {
  const auto round = [](float x) { return static_cast<float>(bf16(x)); };
  CHECK(round(1 + 0x1p-8F) == 1);            // a tie; 1 is even
  CHECK(round(1 + 0x3p-8F) == 1 + 0x1p-6F);  // a tie; the upper neighbour is even
  CHECK(round(1 + 0x1p-8F + 0x1p-20F) == 1 + 0x1p-7F);
  CHECK(round(-(1 + 0x1p-8F)) == -1);
  CHECK(round(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(round(std::bit_cast<float>(0x7f800001U))));
  CHECK(std::isnan(round(std::bit_cast<float>(0xff8000ffU))));
  CHECK(std::signbit(round(-0.0F)));
  CHECK(static_cast<float>(bf16(0.1)) == static_cast<float>(bf16(0.1F)));
  CHECK(static_cast<float>(bf16(3)) == 3);
}

TEST_CASE("vectors of bf16 are read and rounded as single ones, in every instruction set") {
  constexpr Index n = 1003;
  const auto x = randn<bf16>({n}, 1), y = randn<bf16>({n}, 2);
  const auto sum = generate<bf16>(
      {n}, [&](Index i) { return static_cast<float>(x.data()[i]) + static_cast<float>(y.data()[i]); });
  test::for_each_isa([&] {
    const auto z = y.clone();
    kernels::accumulate(Cpu{}, x.data(), z.data(), n);
    CHECK(test::identical(z, sum));
    bf16 special[3] = {bf16(NAN), bf16(HUGE_VALF), bf16(-HUGE_VALF)};
    const bf16 zero[3] = {};
    kernels::accumulate(Cpu{}, zero, special, 3);
    CHECK(std::isnan(static_cast<float>(special[0])));
    CHECK(static_cast<float>(special[1]) == HUGE_VALF);
    CHECK(static_cast<float>(special[2]) == -HUGE_VALF);
  });
}

TEST_CASE("sums are made in float for bf16, else in the type itself") {
  CHECK(std::same_as<accum_t<bf16>, float>);
  CHECK(std::same_as<accum_t<float>, float>);
  CHECK(std::same_as<accum_t<double>, double>);
  CHECK(std::string(type_name<bf16>()) == "bf16");
  CHECK(std::string(type_name<std::uint8_t>()) == "uint8");
}
