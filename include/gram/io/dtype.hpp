// SPDX-License-Identifier: MIT
// Element types as tensor files name them, and their conversion to the library's.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "gram/core/scalar.hpp"

namespace gram {

static_assert(std::endian::native == std::endian::little,
              "tensor files are read and written without swapping bytes");

/// IEEE 754 half precision, read only.
struct Half {
  std::uint16_t bits = 0;

  constexpr operator float() const {
    const std::uint32_t sign = (bits & 0x8000U) << 16U, exponent = bits >> 10U & 31U,
                        fraction = bits & 0x3ffU;
    if (exponent == 0) return (sign ? -1.0F : 1.0F) * static_cast<float>(fraction) * 0x1p-24F;
    const std::uint32_t widened = exponent == 31 ? 255 : exponent + 127 - 15;
    return std::bit_cast<float>(sign | widened << 23U | fraction << 13U);
  }
};

/// Bits of one element of a safetensors dtype; 0 for a word that names none.
constexpr std::uint64_t dtype_bits(std::string_view dtype) {
  struct Known {
    std::string_view name;
    std::uint64_t bits;
  };
  constexpr Known known[] = {
      {"BOOL", 8},    {"U8", 8},      {"I8", 8},          {"F8_E5M2", 8},    {"F8_E4M3", 8}, {"F8_E8M0", 8},
      {"I16", 16},    {"U16", 16},    {"F16", 16},        {"BF16", 16},      {"I32", 32},    {"U32", 32},
      {"F32", 32},    {"I64", 64},    {"U64", 64},        {"F64", 64},       {"C64", 64},    {"F4", 4},
      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
  for (const Known& k : known)
    if (k.name == dtype) return k.bits;
  return 0;
}

/// The safetensors dtype of a tensor's elements.
template <Element T>
constexpr const char* dtype_name() {
  if constexpr (std::same_as<T, float>)
    return "F32";
  else if constexpr (std::same_as<T, double>)
    return "F64";
  else if constexpr (std::same_as<T, bf16>)
    return "BF16";
  else if constexpr (std::same_as<T, std::int32_t>)
    return "I32";
  else if constexpr (std::same_as<T, std::int64_t>)
    return "I64";
  else
    return "U8";
}

/// f(zero of the C++ type) for a dtype that can be read; false for the others.
template <class F>
bool with_dtype(std::string_view dtype, F&& f) {
  if (dtype == "F32")
    f(float{});
  else if (dtype == "F64")
    f(double{});
  else if (dtype == "BF16")
    f(bf16{});
  else if (dtype == "F16")
    f(Half{});
  else if (dtype == "I8")
    f(std::int8_t{});
  else if (dtype == "U8" || dtype == "BOOL")
    f(std::uint8_t{});
  else if (dtype == "I16")
    f(std::int16_t{});
  else if (dtype == "U16")
    f(std::uint16_t{});
  else if (dtype == "I32")
    f(std::int32_t{});
  else if (dtype == "U32")
    f(std::uint32_t{});
  else if (dtype == "I64")
    f(std::int64_t{});
  else if (dtype == "U64")
    f(std::uint64_t{});
  else
    return false;
  return true;
}

/// to[i] = from[i]; returns how many were converted: fewer than n when a number is beyond the range of To, or
/// when a fraction is asked to become an integer.
template <class From, Element To>
std::int64_t convert_stored(const From* from, To* to, std::int64_t n) {
  if constexpr (!std::integral<To>) {
    for (std::int64_t i = 0; i < n; ++i) {
      if constexpr (std::integral<From> || std::floating_point<From>)
        to[i] = static_cast<To>(from[i]);
      else
        to[i] = static_cast<To>(static_cast<float>(from[i]));
      if constexpr (std::floating_point<From> && sizeof(From) > sizeof(To))
        if (!std::isfinite(static_cast<float>(to[i])) && std::isfinite(from[i])) return i;
    }
  } else if constexpr (std::integral<From>) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (!std::in_range<To>(from[i])) return i;
      to[i] = static_cast<To>(from[i]);  // NOLINT(bugprone-signed-char-misuse): int8 is a number here
    }
  } else {
    return 0;
  }
  return n;
}

}  // namespace gram
