// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"
#include "gram/nn/patch_embed.hpp"
#include "gram/nn/transformer_block.hpp"
#include "gram/ops/shape.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// Vision transformer up to its last norm (arXiv:2010.11929): x (N, H, W, 3) -> tokens (N, L, C), L = H W /
/// patch^2, one more with a class token, which comes first. Names and defaults are timm's. Throws ShapeError
/// for images of another size.
template <Scalar T>
struct VitTrunk {
  struct Options {
    Pair size = 224;
    Index patch = 16;
    Index channels = 384, depth = 12, heads = 6;
    double mlp_ratio = 4;
    bool class_token = false;
    double drop = 0;
    double drop_path = 0;  ///< of the last block; grows from 0 with depth
    double epsilon = 1e-6;
    Init init = Init::truncated_normal;  ///< of the blocks; narrow ones learn sooner from xavier
  };

  VitTrunk(const Options& o, Rng& rng)
      : size(o.size),
        patch_embed({.channels = o.channels, .patch = o.patch}, rng),
        drop(o.drop, rng),
        norm({.channels = o.channels, .epsilon = o.epsilon}) {
    require<ArgumentError>(o.size.h % o.patch == 0 && o.size.w % o.patch == 0, "VitTrunk: image size ",
                           o.size, " is not a multiple of the patch ", o.patch);
    const Index tokens = o.size.h / o.patch * (o.size.w / o.patch) + (o.class_token ? 1 : 0);
    if (o.class_token) cls_token = Parameter<T>(init::normal<T>({1, 1, o.channels}, 1e-6, rng));
    pos_embed = Parameter<T>(init::truncated_normal<T>({1, tokens, o.channels}, 0.02, rng));
    for (Index i = 0; i < o.depth; ++i)
      blocks.emplace_back(
          typename TransformerBlock<T>::Options{
              .channels = o.channels,
              .heads = o.heads,
              .mlp_ratio = o.mlp_ratio,
              .drop = o.drop,
              .drop_path = o.depth > 1 ? o.drop_path * double(i) / double(o.depth - 1) : 0,
              .epsilon = o.epsilon,
              .init = o.init},
          rng);
  }

  Tensor<T> operator()(const Tensor<T>& image) {
    require(image.rank() == 4 && image.dim(1) == size.h && image.dim(2) == size.w,
            "VitTrunk: input has shape ", image.shape(),
            ", but the position embedding is one for images of size ", size);
    const Index N = image.dim(0), C = norm.weight.dim(0);
    Tensor<T> x = reshape(patch_embed(image), {N, -1, C});
    if (cls_token.defined()) x = concat<T>({add(zeros<T>({N, 1, C}, x.device()), cls_token), x}, 1);
    x = drop(add(x, pos_embed));
    for (TransformerBlock<T>& block : blocks) x = block(x);
    return norm(x);
  }
  void visit(auto&& parts) {
    parts("cls_token", cls_token), parts("pos_embed", pos_embed), parts("patch_embed", patch_embed);
    parts("pos_drop", drop), parts("blocks", blocks), parts("norm", norm);
  }

  Pair size;
  Parameter<T> cls_token, pos_embed;
  PatchEmbed<T> patch_embed;
  Dropout<T> drop;
  LayerList<TransformerBlock<T>> blocks;
  LayerNorm<T> norm;
};

/// Vision transformer with linear heads, on the class token or, without one, on the mean of the tokens: x (N,
/// H, W, 3) -> the logits (N, classes) of every head. A single head is called "head", as in timm; several are
/// "head.0", "head.1", ...
template <Scalar T>
struct Vit {
  struct Options {
    Index classes = 1000, heads = 1;
    typename VitTrunk<T>::Options trunk{.class_token = true};
  };

  Vit(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        head(o.heads,
             {.channels = o.trunk.channels,
              .classes = o.classes,
              .init = Init::truncated_normal,
              .name = "head"},
             rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const Tensor<T> tokens = trunk(image);
    return head(trunk.cls_token.defined() ? slice(tokens, 1, 0, 1) : tokens);  // the mean of one is itself
  }
  void visit(auto&& parts) { trunk.visit(parts), head.visit(parts); }

  VitTrunk<T> trunk;
  GapHeads<T> head;
};

}  // namespace gram
