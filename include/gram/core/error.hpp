// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <concepts>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>

namespace gram {

/// Base of every exception the library throws. The message reads "operation: argument has shape (..), but ..;
/// rule".
class Error : public std::exception {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

  /// Puts the place inside a network in front of the message, once: "layer3.0.conv2: conv2d: ...".
  void locate(std::string_view path) {
    if (located_ || path.empty()) return;
    message_ = std::string(path) + ": " + message_;
    located_ = true;
  }

 private:
  std::string message_;
  bool located_ = false;
};

/// Shapes, sizes or option values that do not fit.
class ShapeError : public Error {
 public:
  using Error::Error;
};
/// An argument outside its range, or an unknown name.
class ArgumentError : public Error {
 public:
  using Error::Error;
};
/// A file that is missing, broken or of another kind.
class FileError : public Error {
 public:
  using Error::Error;
};
/// A device that is absent, or tensors on different devices.
class DeviceError : public Error {
 public:
  using Error::Error;
};
/// The system refused memory.
class MemoryError : public Error {
 public:
  using Error::Error;
};

inline std::string to_text(std::string_view s) { return std::string(s); }
template <std::integral I>
std::string to_text(I value) {
  if constexpr (std::same_as<I, bool>)
    return value ? "true" : "false";
  else if constexpr (std::same_as<I, char>)
    return std::string(1, value);
  else
    return std::to_string(value);
}
inline std::string to_text(std::floating_point auto v) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, v, std::chars_format::general, 6).ptr;
  return std::string(digits, end);
}

namespace detail {

/// A part of a message and how it is written: what is built for every message is two pointers a part, so that
/// the checks that every function begins with cost little code.
struct Part {
  template <class T>
  explicit Part(const T& part)
      : value(&part),
        append([](std::string& all, const void* data) { all += to_text(*static_cast<const T*>(data)); }) {}
  explicit Part(const char* literal)
      : value(literal),
        append([](std::string& all, const void* data) { all += static_cast<const char*>(data); }) {}

  const void* value;
  void (*append)(std::string&, const void*);
};

inline std::string joined(std::initializer_list<Part> parts) {
  std::string all;
  for (const Part& part : parts) part.append(all, part.value);
  return all;
}
template <class E>
[[noreturn, gnu::cold]] void fail(std::initializer_list<Part> parts) {
  throw E(joined(parts));
}

}  // namespace detail

/// The parts, written one after another: text("conv2d: stride is ", 0). Any type with a to_text overload can
/// be a part.
template <class... Parts>
std::string text(const Parts&... parts) {
  return detail::joined({detail::Part(parts)...});
}

/// Throws E with the concatenated parts unless `rule` holds.
template <class E = ShapeError, class... Parts>
void require(bool rule, const Parts&... parts) {
  if (!rule) [[unlikely]]
    detail::fail<E>({detail::Part(parts)...});
}

}  // namespace gram
