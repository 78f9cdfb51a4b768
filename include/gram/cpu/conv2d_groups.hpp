// SPDX-License-Identifier: MIT
// Groups with few channels leave most lanes of a vector empty. Several neighbouring groups are then computed
// as one, whose weights are zero between channels of different groups: as many instructions, far fewer tiles.
// Sums of finite values are the same bit by bit; an infinite or NaN activation spreads to the groups it is
// computed with.
#pragma once
#include <algorithm>

#include "gram/cpu/conv2d_shape.hpp"

namespace gram::cpu {

/// The largest number of groups that fill at most one vector of `lanes` channels together.
inline Index groups_of_a_vector(const Conv2dShape& s, Index lanes) {
  Index count = std::clamp<Index>(lanes / std::max(s.group_in(), s.group_out()), 1, s.groups);
  while (s.groups % count != 0) --count;
  return count;
}

inline Conv2dShape merge_groups(Conv2dShape s, Index count) {
  s.groups /= count;
  return s;
}

/// f(narrow, wide) for the positions of every tap of every output in weights (O, Kh, Kw, C/G) before and
/// after `count` groups are merged: C/G values from there on belong to the output's own group.
template <class F>
void for_each_tap(const Conv2dShape& s, Index count, F&& f) {
  const Index depth = s.group_in();
  for (Index i = 0; i < s.o * s.taps(); ++i) {
    const Index member = i / s.taps() / s.group_out() % count;
    f(i * depth, (i * count + member) * depth);
  }
}

/// Weights of the merged groups.
template <class T>
void spread_groups(const Conv2dShape& s, Index count, const T* weight, T* wide) {
  std::fill_n(wide, s.weight_size() * count, T(0));
  for_each_tap(s, count, [&](Index from, Index to) { std::copy_n(weight + from, s.group_in(), wide + to); });
}

/// dw (+)= the part of the merged groups' gradient that belongs to weights.
template <class T>
void collect_groups(const Conv2dShape& s, Index count, const T* wide, T* dw, bool add) {
  for_each_tap(s, count, [&](Index to, Index from) {
    for (Index c = 0; c < s.group_in(); ++c) dw[to + c] = add ? dw[to + c] + wide[from + c] : wide[from + c];
  });
}

}  // namespace gram::cpu
