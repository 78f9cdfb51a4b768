// SPDX-License-Identifier: MIT
// Augmentation of images of bytes, as all devices compute it: the same random numbers, and operations whose
// results are the same to the bit.
#pragma once
#include <cmath>

#include "gram/core/random.hpp"
#include "gram/core/scalar.hpp"
#include "gram/kernels/box.hpp"

namespace gram {

/// How an image may change.
struct ImageRule {
  Index pad = 0;      ///< black pixels around the image, then a random crop of its own size
  bool flip = false;  ///< mirror every other image, left to right
  double erase = 0;   ///< the share of images that lose a random rectangle
};

/// What becomes of one image.
struct ImageChange {
  Index top, left;  ///< of the crop, in the image
  bool mirrored;
  Index erased_top, erased_left, erased_bottom, erased_right;

  /// Pixel (y, x) of the result: the number of a pixel of the image, or one of these.
  static constexpr Index black = -1, erased = -2;
  constexpr Index source(Index y, Index x, Index height, Index width) const {
    if (erased_top <= y && y < erased_bottom && erased_left <= x && x < erased_right) return erased;
    const Index from_y = y + top, from_x = (mirrored ? width - 1 - x : x) + left;
    const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
    return inside ? from_y * width + from_x : black;
  }
};

namespace detail {

template <class R>
constexpr Index draw_below(Index n, R& rng) {
  return static_cast<Index>(rng.uniform() * static_cast<double>(n));
}
/// Fused on purpose: otherwise some compilers would round the product, and others not.
template <class R>
constexpr double draw_between(double low, double high, R& rng) {
  return std::fma(high - low, rng.uniform(), low);
}

}  // namespace detail

/// Draws the changes of an image; takes from rng only what the rule needs. The rectangle has 2 to 33 % of the
/// area and sides with a ratio of 0.3 to 1 / 0.3, uniformly; ten are tried until one fits (Zhong et al.,
/// "Random erasing data augmentation", arXiv:1708.04896, algorithm 1).
constexpr ImageChange draw_image_change(const ImageRule& rule, Index height, Index width, Rng& rng) {
  ImageChange change{};
  if (rule.pad) {
    change.top = detail::draw_below(2 * rule.pad + 1, rng) - rule.pad;
    change.left = detail::draw_below(2 * rule.pad + 1, rng) - rule.pad;
  }
  if (rule.flip) change.mirrored = rng.uniform() < 0.5;
  if (rule.erase > 0 && rng.uniform() < rule.erase)
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double area = detail::draw_between(0.02, 1.0 / 3, rng) * static_cast<double>(height * width),
                   ratio = detail::draw_between(0.3, 1 / 0.3, rng);
      const auto h = static_cast<Index>(std::lround(std::sqrt(area * ratio))),
                 w = static_cast<Index>(std::lround(std::sqrt(area / ratio)));
      if (h >= height || w >= width) continue;
      change.erased_top = detail::draw_below(height - h + 1, rng);
      change.erased_left = detail::draw_below(width - w + 1, rng);
      change.erased_bottom = change.erased_top + h;
      change.erased_right = change.erased_left + w;
      break;
    }
  return change;
}

namespace kernels {

/// A batch to be made: image n is number numbers[n] of a data set, whose number decides on its changes.
template <class T>
struct AugmentBatch {
  const std::uint8_t* images;   // (N, H, W, C); the whole data set when `select`
  const std::int64_t* numbers;  // (N)
  bool select;
  Index n, height, width, channels;
  ImageRule rule;
  std::uint64_t seed;  // of the epoch
  const T* values;     // (256, C)
  double share;        // of the image itself; the rest is that of image N - 1 - n
  TokenBox box;        // where the other image is seen instead, if not empty

  constexpr ImageChange change(Index i) const {
    Rng rng = Rng(seed).fork(static_cast<std::uint64_t>(numbers[i]));
    return draw_image_change(rule, height, width, rng);
  }
  /// Channel c of pixel (y, x) of image i alone; an erased pixel is zero.
  constexpr T value(Index i, const ImageChange& change, Index y, Index x, Index c) const {
    const Index source = change.source(y, x, height, width);
    if (source == ImageChange::erased) return T(0);
    if (source == ImageChange::black) return values[c];
    const Index image = select ? static_cast<Index>(numbers[i]) : i;
    return values[images[(image * height * width + source) * channels + c] * channels + c];
  }
  /// Writes the channels of pixel (y, x) of image i; `other` is the change of image N - 1 - i.
  constexpr void make(Index i, const ImageChange& own, const ImageChange& other, Index y, Index x,
                      T* to) const {
    using A = accum_t<T>;
    const bool cut = box.area() > 0, exchanged = cut && box.holds(y, x);
    for (Index c = 0; c < channels; ++c) {
      if (exchanged) {
        to[c] = value(n - 1 - i, other, y, x, c);
      } else if (cut || share == 1) {
        to[c] = value(i, own, y, x, c);
      } else {
        const A mixed = static_cast<A>(1 - share) * static_cast<A>(value(n - 1 - i, other, y, x, c));
        to[c] = T(std::fma(static_cast<A>(share), static_cast<A>(value(i, own, y, x, c)), mixed));
      }
    }
  }
};

/// Target of image i for class c when it shares its place with image n - 1 - i.
template <class T>
constexpr T mixed_label(const std::int64_t* labels, Index n, Index i, Index c, double on, double off,
                        double share) {
  const double own = labels[i] == c ? on : off, other = labels[n - 1 - i] == c ? on : off;
  return T(std::fma(share, own, (1 - share) * other));
}

}  // namespace kernels
}  // namespace gram
