// SPDX-License-Identifier: MIT
// A convolution and its two gradients as products of matrices that are never formed: what stands in a row at
// a depth of each factor. An index is taken apart once for all elements that share it.
//
//              rows of the left      rows of the right     depth
//   y          output pixels         output channels       taps and input channels
//   dx         input pixels          input channels        taps and output channels
//   dw         output channels       taps, input channels  output pixels
//
// Neighbouring threads load neighbours in memory: along the depth, or along the rows.
#pragma once
#include "gram/cuda/conv2d_geometry.cuh"

namespace gram::cuda {

struct Tap {
  int h, w, channel;  ///< offsets of a tap in pixels, and the channel of the group
};
/// Takes (tap, channel) apart.
GRAM_DEVICE Tap tap_at(const ConvGeometry& g, Index k, int channels) {
  const int at = static_cast<int>(k), tap = at / channels;
  return {tap / g.kw * g.dilation_h, tap % g.kw * g.dilation_w, at % channels};
}

/// A pixel of a map, moved by what a convolution adds to its position.
struct MapPixel {
  Index image;
  int h, w;
};
GRAM_DEVICE MapPixel pixel_at(Index p, int h, int w) {
  const Index line = p / w;
  return {line / h, static_cast<int>(line % h), static_cast<int>(p % w)};
}

/// x under the kernel: pixels of the output, by taps and input channels.
template <class T>
struct Patches {
  ConvGeometry g;
  const T* x;
  static constexpr bool along_depth = true;
  using Row = MapPixel;
  using Depth = Tap;

  GRAM_DEVICE Row row(Index, Index p) const {
    const MapPixel at = pixel_at(p, g.out_h, g.out_w);
    return {at.image, at.h * g.stride_h - g.padding_h, at.w * g.stride_w - g.padding_w};
  }
  GRAM_DEVICE Depth depth(Index, Index k) const { return tap_at(g, k, g.group_in); }
  GRAM_DEVICE accum_t<T> load(Index group, const Row& at, const Depth& tap) const {
    const int h = at.h + tap.h, w = at.w + tap.w;
    if (h < 0 || h >= g.h || w < 0 || w >= g.w) return 0;
    return wide(x[((at.image * g.h + h) * g.w + w) * g.c + group * g.group_in + tap.channel]);
  }
};

/// The same with the roles changed: taps and input channels, by pixels of the output.
template <class T>
struct PatchColumns {
  Patches<T> patches;
  static constexpr bool along_depth = false;
  using Row = Tap;
  using Depth = MapPixel;

  GRAM_DEVICE Row row(Index group, Index k) const { return patches.depth(group, k); }
  GRAM_DEVICE Depth depth(Index group, Index p) const { return patches.row(group, p); }
  GRAM_DEVICE accum_t<T> load(Index group, const Row& tap, const Depth& at) const {
    return patches.load(group, at, tap);
  }
};

/// dy where an input pixel met a tap: pixels of the input, by taps and output channels.
template <class T>
struct GradientPatches {
  ConvGeometry g;
  const T* dy;
  static constexpr bool along_depth = true;
  using Row = MapPixel;
  using Depth = Tap;

  GRAM_DEVICE Row row(Index, Index p) const {
    const MapPixel at = pixel_at(p, g.h, g.w);
    return {at.image, at.h + g.padding_h, at.w + g.padding_w};
  }
  GRAM_DEVICE Depth depth(Index, Index k) const { return tap_at(g, k, g.group_out); }
  GRAM_DEVICE accum_t<T> load(Index group, const Row& at, const Depth& tap) const {
    const int h = at.h - tap.h, w = at.w - tap.w, i = h / g.stride_h, j = w / g.stride_w;
    if (h < 0 || w < 0 || i >= g.out_h || j >= g.out_w || i * g.stride_h != h || j * g.stride_w != w)
      return 0;
    return wide(dy[((at.image * g.out_h + i) * g.out_w + j) * g.o + group * g.group_out + tap.channel]);
  }
};

/// weight[group (rows + row) + row][depth]: output channels, by taps and input channels.
template <class T>
struct WeightRows {
  ConvGeometry g;
  const T* weight;
  static constexpr bool along_depth = true;
  using Row = Index;
  using Depth = Index;

  GRAM_DEVICE Row row(Index group, Index o) const {
    return (group * g.group_out + o) * g.kh * g.kw * g.group_in;
  }
  GRAM_DEVICE Depth depth(Index, Index k) const { return k; }
  GRAM_DEVICE accum_t<T> load(Index, Row at, Depth k) const { return wide(weight[at + k]); }
};

/// Input channels, by taps and output channels.
template <class T>
struct WeightColumns {
  ConvGeometry g;
  const T* weight;
  static constexpr bool along_depth = false;
  using Row = Index;
  using Depth = Index;

  GRAM_DEVICE Row row(Index, Index c) const { return c; }
  GRAM_DEVICE Depth depth(Index group, Index k) const {
    const Index tap = k / g.group_out, o = group * g.group_out + k % g.group_out;
    return (o * g.kh * g.kw + tap) * g.group_in;
  }
  GRAM_DEVICE accum_t<T> load(Index, Row c, Depth at) const { return wide(weight[at + c]); }
};

/// Output channels, by pixels of the output.
template <class T>
struct GradientColumns {
  ConvGeometry g;
  const T* dy;
  static constexpr bool along_depth = false;
  using Row = Index;
  using Depth = Index;

  GRAM_DEVICE Row row(Index group, Index o) const { return group * g.group_out + o; }
  GRAM_DEVICE Depth depth(Index, Index p) const { return p * g.o; }
  GRAM_DEVICE accum_t<T> load(Index, Row o, Depth at) const { return wide(dy[at + o]); }
};

}  // namespace gram::cuda
