// SPDX-License-Identifier: MIT
// How two operands lie under the result of a broadcasting operation, and loops over it.
#pragma once
#include <algorithm>

#include "gram/core/shape.hpp"

namespace gram::kernels {

/// One axis of the result, with the distance in elements between its neighbours in the operands and in the
/// result. The distance is 0 in an operand that is repeated along the axis.
struct BroadcastAxis {
  Index extent = 1;
  Index a = 0, b = 0, y = 0;
};

/// Offsets of one row into the operands and the result.
struct BroadcastOffset {
  Index a = 0, b = 0, y = 0;
};

/// Axes, outermost first, split by a reduction into groups; see Broadcast.
class BroadcastAxes {
 public:
  constexpr void append(const BroadcastAxis& axis) { axes_[count_++] = axis; }
  constexpr int count() const { return count_; }
  constexpr BroadcastAxis& operator[](int i) { return axes_[i]; }
  constexpr const BroadcastAxis& operator[](int i) const { return axes_[i]; }
  /// The innermost axis; one of extent 1 when there is none.
  constexpr BroadcastAxis last() const { return count_ ? axes_[count_ - 1] : BroadcastAxis{}; }
  constexpr Index size() const {
    Index n = 1;
    for (int i = 0; i < count_; ++i) n *= axes_[i].extent;
    return n;
  }
  constexpr BroadcastOffset at(Index position) const {
    BroadcastOffset offset;
    for (int i = count_ - 1; i >= 0; --i) {
      Index k = position;
      if (i >
          0) {  // nothing is outside the first axis: most layouts have no other, and are spared a division
        k = position % axes_[i].extent;
        position /= axes_[i].extent;
      }
      offset.a += k * axes_[i].a;
      offset.b += k * axes_[i].b;
      offset.y += k * axes_[i].y;
    }
    return offset;
  }
  /// f(rows, offset) for the positions [begin, end), in runs along the innermost axis.
  template <class F>
  constexpr void for_runs(Index begin, Index end, F&& f) const {
    const Index extent = last().extent;
    while (begin < end) {
      const Index rows = std::min(extent - begin % extent, end - begin);
      f(rows, at(begin));
      begin += rows;
    }
  }

 private:
  BroadcastAxis axes_[Shape::max_rank];
  int count_ = 0;
};

/// The axes of the result with neighbours joined that lie alike, so that equal shapes have one axis and (N,
/// H, W, C) with (C) has two. The innermost axis is apart: kernels work along it, and along one outer axis at
/// a time.
struct Broadcast {
  BroadcastAxes outer;
  BroadcastAxis inner{1, 1, 1, 1};
  bool repeats_a = false;  ///< some axis is absent in a

  /// y is the broadcast shape of a and b.
  Broadcast(const Shape& y, const Shape& a, const Shape& b) {
    BroadcastAxes reversed;
    Index size_a = 1, size_b = 1, size_y = 1;
    for (int i = 1; i <= y.rank(); ++i) {
      const Index extent = y[-i], in_a = i <= a.rank() ? a[-i] : 1, in_b = i <= b.rank() ? b[-i] : 1;
      if (extent == 1) continue;
      const BroadcastAxis axis{extent, in_a == 1 ? 0 : size_a, in_b == 1 ? 0 : size_b, size_y};
      repeats_a = repeats_a || axis.a == 0;
      BroadcastAxis* inside = reversed.count() ? &reversed[reversed.count() - 1] : nullptr;
      if (inside && (inside->a == 0) == (axis.a == 0) && (inside->b == 0) == (axis.b == 0))
        inside->extent *= extent;
      else
        reversed.append(axis);
      size_a *= in_a, size_b *= in_b, size_y *= extent;
    }
    if (reversed.count()) inner = reversed[0];
    for (int i = reversed.count() - 1; i > 0; --i) outer.append(reversed[i]);
  }
};

}  // namespace gram::kernels
