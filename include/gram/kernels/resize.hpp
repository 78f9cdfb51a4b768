// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>

#include "gram/core/shape.hpp"

namespace gram {

/// What one output position reads: `count` input positions from `begin` on, the first with another weight
/// than the rest.
struct ResampleTap {
  Index begin, count;
  double first, rest;

  constexpr Index end() const { return begin + count; }
  constexpr double weight(Index k) const { return k ? rest : first; }
};

/// How the positions of an output axis read an input axis. Window begins and ends never decrease along the
/// axis.
struct ResampleAxis {
  enum class Kind {
    window,           ///< mean of [o stride - padding, + kernel), of what lies inside the input
    window_with_pad,  ///< the same, padding counted as zeros
    adaptive,         ///< mean of [floor(o in / out), ceil((o + 1) in / out))
    nearest,          ///< floor(o in / out)
    bilinear,         ///< between the two nearest of (o + 1/2) in / out - 1/2
    align_corners     ///< between the two nearest of o (in - 1) / (out - 1)
  };
  Kind kind;
  Index in, out;
  Index kernel = 0, stride = 0, padding = 0;

  /// The most positions that a window may have.
  constexpr Index widest_window() const {
    using enum Kind;
    switch (kind) {
      case window:
      case window_with_pad:
        return kernel;
      case adaptive:
        return ceil_div(in, out) + 1;
      case nearest:
        return 1;
      default:
        return 2;
    }
  }

  constexpr ResampleTap tap(Index o) const {
    using enum Kind;
    switch (kind) {
      case window:
      case window_with_pad: {
        const Index first = o * stride - padding, end = (std::min)(first + kernel, in + padding);
        const Index inside = (std::min)(end, in) - (std::max)(first, Index{0});
        return mean((std::max)(first, Index{0}), inside, kind == window ? inside : end - first);
      }
      case adaptive: {
        const Index first = o * in / out, end = ceil_div((o + 1) * in, out);
        return mean(first, end - first, end - first);
      }
      case nearest: {  // the scale in float and this order of operations, to choose the same position as
                       // PyTorch
        const float scale = static_cast<float>(in) / static_cast<float>(out);
        return mean((std::min)(in - 1, static_cast<Index>(static_cast<float>(o) * scale)), 1, 1);
      }
      case bilinear:
        return between((std::max)(
            0.0, (static_cast<double>(o) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5));
      default:
        return between(out > 1 ? static_cast<double>(o * (in - 1)) / static_cast<double>(out - 1) : 0.0);
    }
  }

  /// The first output position whose window ends behind input position i, `out` when there is none: i is read
  /// from there on, as long as windows begin at or before i.
  constexpr Index first_reader(Index i) const {
    Index o = (std::min)((std::max)(guess_reader(i), Index{0}), out);
    while (o > 0 && tap(o - 1).end() > i) --o;
    while (o < out && tap(o).end() <= i) ++o;
    return o;
  }

 private:
  static constexpr ResampleTap mean(Index first, Index n, Index divisor) {
    const double weight = 1.0 / static_cast<double>(divisor);
    return {first, n, weight, weight};
  }
  constexpr ResampleTap between(double position) const {
    const Index first = (std::min)(in - 1, static_cast<Index>(position));
    const double share = position - static_cast<double>(first);
    return first + 1 < in ? ResampleTap{first, 2, 1 - share, share} : ResampleTap{first, 1, 1.0, 0.0};
  }
  constexpr Index guess_reader(Index i) const {
    using enum Kind;
    switch (kind) {
      case window:
      case window_with_pad:
        return (i + padding - kernel) / stride + 1;
      case align_corners:
        return in > 1 ? (i - 1) * (out - 1) / (in - 1) : 0;
      case bilinear:
        return (2 * i - 1) * out / (2 * in) - 1;
      default:
        return i * out / in;
    }
  }
};

}  // namespace gram
