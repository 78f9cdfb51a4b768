// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>

#include "gram/core/error.hpp"

namespace gram {

/// Sizes, positions and axes. Signed, so that differences and loops downwards are ordinary arithmetic.
using Index = std::int64_t;

/// Extents of a tensor, outermost first, stored inline (no heap). The empty shape () is that of a scalar: one
/// element. Throws ShapeError on a negative extent, more than max_rank axes, or a product that does not fit
/// into Index.
class Shape {
 public:
  static constexpr int max_rank = 8;
  /// Largest number of elements: that of bytes still fits into Index for every element type.
  static constexpr Index max_size = Index{1} << 59;

  Shape() = default;
  Shape(std::initializer_list<Index> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const Index> extents) {
    require(extents.size() <= max_rank, "shape: ", extents.size(), " axes; at most ", max_rank,
            " are supported");
    for (const Index extent : extents) append(extent);
  }

  int rank() const { return rank_; }
  /// Number of elements.
  Index size() const { return size_; }
  /// Extent of an axis; negative axes count from the end.
  Index operator[](int axis) const { return extents_[this->axis(axis)]; }
  const Index* begin() const { return extents_; }
  const Index* end() const { return extents_ + rank_; }

  /// The axis as a number in [0, rank); throws ShapeError when it lies outside.
  int axis(int axis) const {
    if (axis < -rank_ || axis >= rank_)
      throw ShapeError(text("shape: axis ", axis, " of a tensor with ", rank_, " axes"));
    return axis < 0 ? axis + rank_ : axis;
  }
  /// Product of the extents of axes [first, last).
  Index product(int first, int last) const {
    Index n = 1;
    for (int i = first; i < last; ++i) n *= extents_[i];
    return n;
  }
  /// A copy with one extent replaced.
  Shape with(int axis, Index extent) const {
    const int replaced = this->axis(axis);
    Shape changed;
    for (int i = 0; i < rank_; ++i) changed.append(i == replaced ? extent : extents_[i]);
    return changed;
  }
  void append(Index extent) {
    require(rank_ < max_rank, "shape: more than ", max_rank, " axes");
    require(extent >= 0, "shape: extent ", extent, " of axis ", rank_, " is negative");
    require(!__builtin_mul_overflow(size_, extent, &size_) && size_ <= max_size,
            "shape: more than 2^59 elements");
    extents_[rank_++] = extent;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.extents_[i] != b.extents_[i]) return false;
    return true;
  }

 private:
  Index extents_[max_rank] = {};
  Index size_ = 1;
  int rank_ = 0;
};

/// "(8, 56, 56, 32)"; "()" for a scalar.
inline std::string to_text(const Shape& shape) {
  std::string s = "(";
  for (int i = 0; i < shape.rank(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + ")";
}

/// ceil(a / b) for a >= 0, b > 0.
constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
/// The smallest multiple of b that is >= a.
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

}  // namespace gram
