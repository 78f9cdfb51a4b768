// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>

#include "gram/tensor/tensor.hpp"

namespace gram {
namespace detail {

/// Positions of an axis that are written: all of at most six, else the first and the last three.
inline std::vector<Index> shown(Index extent) {
  std::vector<Index> positions;
  for (Index i = 0; i < extent; ++i)
    if (extent <= 6 || i < 3 || i >= extent - 3) positions.push_back(i);
  return positions;
}

template <Element T>
std::string entry_text(T value) {
  if constexpr (Scalar<T>)
    return to_text(static_cast<accum_t<T>>(value));
  else
    return to_text(value);
}

/// Appends the block of `axis` that starts at `offset`; entries are padded to `width`, which grows in a first
/// pass without output.
template <Element T>
void append_block(const Tensor<T>& x, int axis, Index offset, std::size_t& width, std::string* out) {
  if (axis == x.rank()) {
    const std::string entry = entry_text(x.data()[offset]);
    width = std::max(width, entry.size());
    if (out) *out += std::string(width - entry.size(), ' ') + entry;
    return;
  }
  const bool last = axis + 1 == x.rank();
  const std::string separator = last ? ", " : ",\n" + std::string(static_cast<std::size_t>(axis) + 1, ' ');
  const Index step = x.shape().product(axis + 1, x.rank());
  Index before = -1;
  if (out) *out += '[';
  for (const Index i : shown(x.dim(axis))) {
    if (out && i > 0) *out += separator;
    if (out && i > before + 1) *out += "..." + separator;
    append_block(x, axis + 1, offset + i * step, width, out);
    before = i;
  }
  if (out) *out += ']';
}

}  // namespace detail

/// The type, the shape and the values, row by row, with six significant digits; of a longer axis the first
/// and the last three entries:
///     float (2, 8)
///     [[0, 1, 2, ..., 5, 6, 7],
///      [8, 9, 10, ..., 13, 14, 15]]
template <Element T>
std::string to_text(const Tensor<T>& x) {
  if (!x.defined()) return "undefined tensor";
  if (x.device().kind() != Device::Kind::cpu) return to_text(x.to(Device::cpu()));
  std::string s = text(type_name<T>(), " ", x.shape(), x.rank() ? "\n" : " ");
  std::size_t width = 0;
  detail::append_block(x, 0, 0, width, static_cast<std::string*>(nullptr));
  detail::append_block(x, 0, 0, width, &s);
  return s;
}

}  // namespace gram
