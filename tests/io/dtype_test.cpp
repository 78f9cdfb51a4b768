// SPDX-License-Identifier: MIT
#include "gram/io/dtype.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;

namespace {

/// The value of half-precision bits by its definition: sign, exponent of 5 bits with bias 15, fraction of 10
/// bits.
double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 31  ? (fraction ? NAN : HUGE_VAL)
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -size : size;
}

template <class From, Element To>
std::int64_t converted_count(std::vector<From> from, std::vector<To>& to) {
  to.assign(from.size(), To(77));
  return convert_stored(from.data(), to.data(), static_cast<std::int64_t>(from.size()));
}

}  // namespace

TEST_CASE("every half-precision number has its value, also the smallest, infinities and signed zeros") {
  int wrong = 0;
  for (int bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double expected = half_value(half), value = Half{half};
    const bool same = std::isnan(expected)
                          ? std::isnan(value)
                          : value == expected && std::signbit(value) == std::signbit(expected);
    wrong += !same;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a dtype that can be read has the size of its C++ type; unknown words have none") {
  for (const char* dtype :
       {"BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "I64", "U64", "F64"}) {
    std::size_t bytes = 0;
    CHECK(with_dtype(dtype, [&](auto zero) { bytes = sizeof zero; }));
    CHECK(dtype_bits(dtype) == 8 * bytes);
  }
  for (const char* dtype : {"F8_E5M2", "F4", "C64", "F33", "", "f32"})
    CHECK_FALSE(with_dtype(dtype, [](auto) { FAIL("read"); }));
  CHECK(dtype_bits("F4") == 4);
  CHECK(dtype_bits("F6_E3M2") == 6);
  CHECK(dtype_bits("F33") == 0);
}

TEST_CASE("the names of written dtypes are those that are read") {
  const auto check = []<Element T>(T) {
    bool same = false;
    CHECK(with_dtype(dtype_name<T>(), [&](auto zero) { same = std::is_same_v<decltype(zero), T>; }));
    CHECK(same);
  };
  check(float{}), check(double{}), check(bf16{});
  check(std::int32_t{}), check(std::int64_t{}), check(std::uint8_t{});
}

TEST_CASE("integers are converted up to the first that does not fit, and never from fractions") {
  std::vector<std::int32_t> narrow;
  CHECK(converted_count<std::int64_t>({1, -2147483648LL, 2147483647LL, 2147483648LL, 5}, narrow) == 3);
  CHECK(narrow == std::vector<std::int32_t>{1, -2147483648, 2147483647, 77, 77});
  std::vector<std::uint8_t> byte;
  CHECK(converted_count<std::int8_t>({0, 127, -1}, byte) == 2);
  std::vector<std::int64_t> wide;
  CHECK(converted_count<std::uint64_t>({std::uint64_t{1} << 63U}, wide) == 0);
  CHECK(converted_count<float>({1.0F}, wide) == 0);
  CHECK(converted_count<bf16>({bf16(1.0F)}, wide) == 0);
}

TEST_CASE("floating-point numbers are converted from everything") {
  std::vector<double> values;
  CHECK(converted_count<std::int64_t>({-3, std::int64_t{1} << 53}, values) == 2);
  CHECK(values == std::vector<double>{-3, 0x1p53});
  CHECK(converted_count<Half>({Half{0x3c00}, Half{0xc000}}, values) == 2);
  CHECK(values == std::vector<double>{1, -2});
  std::vector<bf16> rounded;
  CHECK(converted_count<double>({1.00390625, 3}, rounded) == 2);  // a tie, to the even neighbour
  CHECK(static_cast<float>(rounded[0]) == 1);
  CHECK(static_cast<float>(rounded[1]) == 3);
}
