// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/conv2d.hpp"

namespace gram {

/// Cuts an image into patches and maps each to a vector: x (N, H, W, I) -> (N, H/patch, W/patch, C), which as
/// it lies in memory is the sequence of tokens, row by row. A convolution of kernel and stride `patch`
/// (arXiv:2010.11929, eq. 1). Throws ShapeError when the patch does not divide H and W.
template <Scalar T>
struct PatchEmbed {
  struct Options {
    Index in = 3, channels = 0;
    Pair patch = 16;
    Init init = Init::pytorch;
  };

  PatchEmbed(const Options& o, Rng& rng)
      : proj({.in = o.in, .out = o.channels, .kernel = o.patch, .stride = o.patch, .init = o.init}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Pair patch = proj.options.stride;
    located(proj.weight, [&] {
      require(x.rank() == 4 && x.dim(1) % patch.h == 0 && x.dim(2) % patch.w == 0,
              "PatchEmbed: input has shape ", x.shape(), "; height and width must be multiples of the patch ",
              patch);
    });
    return proj(x);
  }
  void visit(auto&& parts) { parts("proj", proj); }

  Conv2d<T> proj;
};

}  // namespace gram
