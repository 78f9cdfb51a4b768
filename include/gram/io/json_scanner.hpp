// SPDX-License-Identifier: MIT
// Just enough JSON (RFC 8259) for the headers of tensor files: the caller says what must come next, nothing
// is built in memory. A general library costs 1.7 s of compile time, and hides duplicate keys.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "gram/core/error.hpp"

namespace gram {

/// Length of the longest prefix that is well-formed UTF-8 (Unicode 15, table 3-7).
inline std::size_t valid_utf8_prefix(std::string_view s) {
  std::size_t i = 0;
  const auto byte = [&](std::size_t at) -> unsigned {
    return at < s.size() ? static_cast<unsigned char>(s[at]) : 0U;
  };
  while (i < s.size()) {
    const unsigned a = byte(i), b = byte(i + 1);
    const auto tail = [&](std::size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
    if (a < 0x80)
      i += 1;
    else if (a >= 0xC2 && a <= 0xDF && tail(i + 1))
      i += 2;
    else if (a >= 0xE0 && a <= 0xEF && tail(i + 1) && tail(i + 2) && (a != 0xE0 || b >= 0xA0) &&
             (a != 0xED || b < 0xA0))
      i += 3;
    else if (a >= 0xF0 && a <= 0xF4 && tail(i + 1) && tail(i + 2) && tail(i + 3) &&
             (a != 0xF0 || b >= 0x90) && (a != 0xF4 || b < 0x90))
      i += 4;
    else
      break;
  }
  return i;
}

/// Reads JSON from text that is valid UTF-8. Every function skips white space first and throws FileError,
/// with the byte's offset, when something else stands there.
class JsonScanner {
 public:
  /// Messages start with `where`; `base` is the file offset of the first byte.
  JsonScanner(std::string_view json, std::string where, std::uint64_t base = 0)
      : json_(json), where_(std::move(where)), base_(base) {}

  /// The next character, '\0' at the end.
  char peek() {
    while (at_ < json_.size() &&
           (json_[at_] == ' ' || json_[at_] == '\t' || json_[at_] == '\n' || json_[at_] == '\r'))
      ++at_;
    return at_ < json_.size() ? json_[at_] : '\0';
  }
  /// Takes c if it comes next.
  bool take(char c) {
    const bool next = peek() == c && at_ < json_.size();
    at_ += next;
    return next;
  }
  void expect(char c) {
    if (!take(c)) fail(text("expected '", c, "'"));
  }
  void expect_end() {
    peek();
    if (at_ < json_.size()) fail("something follows the end of the value");
  }

  /// entry(key) for each key of an object; it must read the value.
  template <class F>
  void object(F&& entry) {
    expect('{');
    if (take('}')) return;
    do {
      std::string key = string();
      expect(':');
      entry(std::move(key));
    } while (take(','));
    expect('}');
  }
  /// item() for each item of an array; it must read it.
  template <class F>
  void array(F&& item) {
    expect('[');
    if (take(']')) return;
    do item();
    while (take(','));
    expect(']');
  }

  std::string string() {
    expect('"');
    std::string s;
    for (;;) {
      if (at_ == json_.size()) fail("the text ends inside a string");
      const char c = json_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("control character inside a string");
      ++at_;
      if (c == '"') return s;
      if (c == '\\')
        escape(s);
      else
        s += c;
    }
  }

  /// A number in [0, 2^64) without sign, fraction, exponent or leading zero.
  std::uint64_t integer() {
    const char first = peek();
    if (first < '0' || first > '9') fail("expected a non-negative integer");
    const auto digit = [&] { return at_ < json_.size() && json_[at_] >= '0' && json_[at_] <= '9'; };
    const std::size_t begin = at_;
    std::uint64_t value = 0;
    for (; digit(); ++at_)
      if (__builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
          __builtin_add_overflow(value, static_cast<std::uint64_t>(json_[at_] - '0'), &value))
        fail("the integer does not fit into 64 bits");
    const bool leading_zero = first == '0' && at_ - begin > 1;
    const char next = at_ < json_.size() ? json_[at_] : ' ';
    if (leading_zero || next == '.' || next == 'e' || next == 'E') fail("expected a non-negative integer");
    return value;
  }

  [[noreturn]] void fail(std::string_view message) const {
    throw FileError(text(where_, ": offset ", base_ + at_, ": ", message));
  }

 private:
  unsigned hex4() {
    unsigned value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < json_.size() ? json_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("\\u needs four hexadecimal digits");
      value = value * 16 + static_cast<unsigned>(digit);
      ++at_;
    }
    return value;
  }

  void escape(std::string& s) {
    const char c = at_ < json_.size() ? json_[at_] : '\0';
    constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    if (const auto i = names.find(c); c != '\0' && i != names.npos) {
      s += values[i];
      ++at_;
      return;
    }
    if (c != 'u') fail("unknown escape");
    ++at_;
    unsigned code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair of surrogates
      if (json_.substr(at_, 2) != "\\u") fail("half of a pair of surrogates");
      at_ += 2;
      const unsigned low = hex4();
      if (low < 0xDC00 || low >= 0xE000) fail("half of a pair of surrogates");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("half of a pair of surrogates");
    }
    const auto put = [&](unsigned byte) { s += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) return put(0xC0U | code >> 6U), put(0x80U | (code & 0x3FU));
    if (code < 0x10000)
      put(0xE0U | code >> 12U);
    else
      put(0xF0U | code >> 18U), put(0x80U | (code >> 12U & 0x3FU));
    put(0x80U | (code >> 6U & 0x3FU)), put(0x80U | (code & 0x3FU));
  }

  std::string_view json_;
  std::string where_;
  std::uint64_t base_;
  std::size_t at_ = 0;
};

}  // namespace gram
