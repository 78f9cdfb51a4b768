// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace gram {

/// bfloat16: the upper half of a float (8 exponent bits, 8 significant bits). Converts from float with round
/// to nearest, ties to even; arithmetic happens in float.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  constexpr explicit bf16(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
    bits = static_cast<std::uint16_t>(nan ? (u >> 16U) | 0x40U : (u + 0x7fffU + ((u >> 16U) & 1U)) >> 16U);
  }
  constexpr explicit bf16(double value) : bf16(static_cast<float>(value)) {}
  constexpr explicit bf16(std::integral auto value) : bf16(static_cast<float>(value)) {}
  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }
};

/// The element types that have gradients.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bf16>;

/// What a tensor can hold: scalars, and integers for labels and indices.
template <class T>
concept Element = Scalar<T> || std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t> ||
    std::same_as<T, std::uint8_t>;

template <class T>
struct Accumulator {
  using type = T;
};
template <>
struct Accumulator<bf16> {
  using type = float;
};
/// The type sums over T are made in: float for float and bf16, double for double.
template <class T>
using accum_t = typename Accumulator<T>::type;

template <class T>
constexpr const char* type_name() {
  if constexpr (std::same_as<T, float>)
    return "float";
  else if constexpr (std::same_as<T, double>)
    return "double";
  else if constexpr (std::same_as<T, bf16>)
    return "bf16";
  else if constexpr (std::same_as<T, std::int32_t>)
    return "int32";
  else if constexpr (std::same_as<T, std::int64_t>)
    return "int64";
  else
    return "uint8";
}

}  // namespace gram
