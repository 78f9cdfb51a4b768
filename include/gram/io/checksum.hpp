// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace gram {

/// A number of 64 bits for the bytes of a file, which another number betrays as damaged. For every word w of
/// 8 bytes, the last one filled with zeros,
///     h = (h ^ w) * 0x9E3779B97F4A7C15,  h = h ^ (h >> 32).
/// All steps can be undone, so that no change within a single word goes unseen; the number of bytes counts
/// as one more word. It is no protection against somebody who means to deceive.
class Checksum {
 public:
  /// The next bytes. All pieces but the last are multiples of 8 bytes long.
  void add(const void* from, std::size_t count) {
    const auto* next = static_cast<const char*>(from);
    bytes_ += count;
    for (; count >= 8; next += 8, count -= 8) {
      std::uint64_t word;
      std::memcpy(&word, next, 8);
      mix(word);
    }
    if (count == 0) return;
    std::uint64_t word = 0;
    std::memcpy(&word, next, count);
    mix(word);
  }
  /// The checksum of a piece, in place of its bytes.
  void add(const Checksum& piece) {
    const std::uint64_t value = piece.value();
    add(&value, sizeof value);
  }

  std::uint64_t value() const {
    Checksum whole = *this;
    whole.mix(bytes_);
    return whole.hash_;
  }
  /// The value as 16 hexadecimal digits.
  std::string digits() const {
    std::string digits(16, '0');
    for (std::uint64_t rest = value(), i = 16; i-- > 0; rest >>= 4U)
      digits[i] = "0123456789abcdef"[rest & 15U];
    return digits;
  }

 private:
  void mix(std::uint64_t word) {
    hash_ = (hash_ ^ word) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 32U;
  }

  std::uint64_t hash_ = 0, bytes_ = 0;
};

}  // namespace gram
