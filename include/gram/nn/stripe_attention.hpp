// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/conv2d.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/attention.hpp"
#include "gram/ops/shape.hpp"
#include "gram/ops/window.hpp"

namespace gram {

/// How a map is cut into the windows of an attention layer.
enum class Stripes {
  vertical,    ///< full height, `split` pixels wide
  horizontal,  ///< full width, `split` pixels high
  whole,       ///< one window, the map
};

/// Attention inside stripes of a map with locally enhanced positional encoding (CSWin, arXiv:2107.00652,
/// sections 3.2 and 3.3): in each window, with the keys k and the values v of that window,
///     y = softmax(q k^T / sqrt(d)) v + get_v(v),
/// where d = channels / heads and get_v is a 3x3 convolution of each channel by itself that sees zeros
/// outside the window. qkv (N, H, W, 3 A) = [q | k | v], of which channels [first, first + channels) of each
/// third are read -> (windows, pixels of a window, channels); join_windows makes it a map again. Throws
/// ArgumentError when heads does not divide channels, ShapeError when stripes do not divide the map.
template <Scalar T>
struct StripeAttention {
  struct Options {
    Index channels = 0, heads = 1;
    Stripes stripes = Stripes::whole;
    Index split = 1;  ///< the width of a stripe
    Index first = 0;
    Init init = Init::pytorch;
  };

  StripeAttention(const Options& o, Rng& rng)
      : get_v({.in = o.channels,
               .out = o.channels,
               .kernel = 3,
               .padding = 1,
               .groups = o.channels,
               .init = o.init},
              rng),
        heads(o.heads),
        stripes(o.stripes),
        split(o.split),
        first(o.first) {
    require<ArgumentError>(o.heads > 0 && o.channels % o.heads == 0, "StripeAttention: ", o.heads,
                           " heads; they must divide ", o.channels, " channels");
    require<ArgumentError>(o.split > 0, "StripeAttention: split is ", o.split, "; it must be positive");
  }

  Tensor<T> operator()(const Tensor<T>& qkv) const {
    const Index C = get_v.weight.dim(0);
    const Pair size = window({qkv.dim(1), qkv.dim(2)});
    const Tensor<T> packed = located(
        get_v.weight, [&] { return cut_windows(qkv, size, {.parts = 3, .begin = first, .width = C}); });
    // Backward runs in reverse: the slice then adds to the gradient that the attention has written.
    const Tensor<T> position = get_v(reshape(slice(packed, 2, 2 * C, 3 * C), {-1, size.h, size.w, C}));
    const Tensor<T> mixed =
        located(get_v.weight, [&] { return attention(packed, AttentionOptions{.heads = heads}); });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(get_v.weight.name)),
                .kind = "attention",
                .output = mixed.shape(),
                .matmuls = 2 * mixed.size() * size.h * size.w});
    return add(mixed, reshape(position, mixed.shape()));
  }
  /// The size of a window on a map of that size.
  Pair window(Pair map) const {
    const bool fits =
        stripes == Stripes::whole || (stripes == Stripes::vertical ? map.w : map.h) % split == 0;
    located(get_v.weight, [&] {
      require(fits, "StripeAttention: stripes of ", split, " pixels do not divide a map of ", map, " pixels");
    });
    return {stripes == Stripes::horizontal ? split : map.h, stripes == Stripes::vertical ? split : map.w};
  }
  void visit(auto&& parts) { parts("get_v", get_v); }

  Conv2d<T> get_v;
  Index heads;
  Stripes stripes;
  Index split, first;
};

}  // namespace gram
