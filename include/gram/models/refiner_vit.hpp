// SPDX-License-Identifier: MIT
#pragma once
#include "gram/loss/token_mixing.hpp"
#include "gram/nn/module.hpp"
#include "gram/nn/position_embedding.hpp"
#include "gram/nn/refiner_block.hpp"
#include "gram/ops/reduce.hpp"

namespace gram {

/// The patch stem of Refiner-ViT: 7x7 convolution of stride 2 and two 3x3 ones, each with batch norm and
/// ReLU, then one of kernel and stride patch / 2; x (N, H, W, 3) -> (N, H/patch, W/patch, D).
template <Scalar T>
struct RefinerStem {
  RefinerStem(Index patch, Index channels, Rng& rng)
      : conv1({.in = 3, .out = 32, .kernel = 7, .stride = 2, .padding = 3, .bias = false}, rng),
        bn1({.channels = 32}),
        conv2({.in = 32, .out = 64, .kernel = 3, .padding = 1, .bias = false}, rng),
        bn2({.channels = 64}),
        conv3({.in = 64, .out = 128, .kernel = 3, .padding = 1, .bias = false}, rng),
        bn3({.channels = 128}),
        proj({.in = 128, .out = channels, .kernel = patch / 2, .stride = patch / 2}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    return proj(bn3.relu(conv3, bn2.relu(conv2, bn1.relu(conv1, x))));
  }
  void visit(auto&& parts) {
    parts("conv1", conv1), parts("bn1", bn1), parts("conv2", conv2), parts("bn2", bn2);
    parts("conv3", conv3), parts("bn3", bn3), parts("proj", proj);
  }

  Conv2d<T> conv1;
  BatchNorm2d<T> bn1;
  Conv2d<T> conv2;
  BatchNorm2d<T> bn2;
  Conv2d<T> conv3;
  BatchNorm2d<T> bn3;
  Conv2d<T> proj;
};

/// Refiner-ViT up to its last norm (Zhou et al., arXiv:2106.03714): stem, class token, position embedding,
/// and blocks whose attention maps come from block to block. As a backbone it has one map, the normalised
/// patch tokens: images (N, H, W, 3) -> (N, H/patch, W/patch, D). Throws ShapeError for images of a size it
/// is not made for.
template <Scalar T>
struct RefinerVitTrunk {
  using value_type = T;
  struct Options {
    Pair size = 224;  ///< of the images the position embedding is learned for
    Index patch = 16;
    Index channels = 384, depth = 16, heads = 12;
    double mlp_ratio = 3;
    /// Of the blocks, from the first on and over again.
    std::vector<RefinerAttentionKind> kinds = {RefinerAttentionKind::plain, RefinerAttentionKind::share};
    Index expansion = 3;            ///< of the refiners
    bool resize_positions = false;  ///< take images of any size: resize_position_embedding in every call
    double adjust_ratio = 0.5;
    double drop_path = 0;  ///< of the last block; grows from 0 with depth
    double epsilon = 1e-6;
  };
  struct TokensOptions {
    TokenBox box = {};  ///< patches to take from the image at the other end of the batch
    bool maps = false;  ///< keep the attention maps that the blocks hand on
  };
  struct Tokens {
    Tensor<T> tokens;             ///< (N, 1 + L, D), the class token first
    std::vector<Tensor<T>> maps;  ///< (N, heads, 1 + L, 1 + L), one for each block when asked for
  };

  RefinerVitTrunk(const Options& o, Rng& rng)
      : size(checked(o).size),
        patch(o.patch),
        resize_positions(o.resize_positions),
        patch_embed(o.patch, o.channels, rng),
        norm({.channels = o.channels, .epsilon = o.epsilon}) {
    cls_token = Parameter<T>(init::truncated_normal<T>({1, 1, o.channels}, 0.02, rng));
    const Index tokens = 1 + o.size.h / o.patch * (o.size.w / o.patch);
    pos_embed = Parameter<T>(init::truncated_normal<T>({1, tokens, o.channels}, 0.02, rng));
    for (Index i = 0; i < o.depth; ++i)
      blocks.emplace_back(
          typename RefinerBlock<T>::Options{
              .channels = o.channels,
              .heads = o.heads,
              .kind = o.kinds[static_cast<std::size_t>(i) % o.kinds.size()],
              .expansion = o.expansion,
              .mlp_ratio = o.mlp_ratio,
              .adjust_ratio = o.adjust_ratio,
              .drop_path = o.depth > 1 ? o.drop_path * double(i) / double(o.depth - 1) : 0,
              .epsilon = o.epsilon},
          rng);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const Tensor<T> x = tokens(image).tokens;
    const Pair grid = grid_of(image);
    return {reshape(slice(x, 1, 1, x.dim(1)), {x.dim(0), grid.h, grid.w, x.dim(2)})};
  }
  std::vector<Index> channels() const { return {norm.weight.dim(0)}; }

  /// All tokens behind the last norm, and the attention maps when asked for.
  Tokens tokens(const Tensor<T>& image, const TokensOptions& o = {}) {
    const Pair grid = grid_of(image);
    const Index N = image.dim(0), D = norm.weight.dim(0);
    const Tensor<T> patches = reshape(mix_tokens(patch_embed(image), o.box), {N, grid.h * grid.w, D});
    const Tensor<T> first = add(zeros<T>({N, 1, D}, image.device()), cls_token);
    const Tensor<T> positions =
        resize_position_embedding<T>(pos_embed, {size.h / patch, size.w / patch}, grid);

    TokensAndMap<T> x{.tokens = add(concat<T>({first, patches}, 1), positions), .map = {}};
    std::vector<Tensor<T>> maps;
    for (RefinerBlock<T>& block : blocks) {
      x = block(x.tokens, x.map);
      if (o.maps) maps.push_back(x.map);
    }
    return {norm(x.tokens), std::move(maps)};
  }
  /// Rows and columns of patches of these images.
  Pair grid_of(const Tensor<T>& image) const {
    require(image.rank() == 4 && image.dim(1) >= patch && image.dim(1) % patch == 0 &&
                image.dim(2) >= patch && image.dim(2) % patch == 0,
            "RefinerVitTrunk: input has shape ", image.shape(),
            "; height and width must be multiples of the patch ", patch);
    require(resize_positions || (image.dim(1) == size.h && image.dim(2) == size.w),
            "RefinerVitTrunk: input has shape ", image.shape(),
            ", but the position embedding is one for images of size ", size,
            "; resize_positions takes others");
    return {image.dim(1) / patch, image.dim(2) / patch};
  }
  void visit(auto&& parts) {
    parts("cls_token", cls_token), parts("pos_embed", pos_embed), parts("patch_embed", patch_embed);
    parts("blocks", blocks), parts("norm", norm);
  }

  Pair size;
  Index patch;
  bool resize_positions;
  Parameter<T> cls_token, pos_embed;
  RefinerStem<T> patch_embed;
  LayerList<RefinerBlock<T>> blocks;
  LayerNorm<T> norm;

 private:
  static const Options& checked(const Options& o) {
    require<ArgumentError>(o.patch >= 2 && o.patch % 2 == 0 && o.size.h > 0 && o.size.h % o.patch == 0 &&
                               o.size.w > 0 && o.size.w % o.patch == 0,
                           "RefinerVitTrunk: image size ", o.size, " and patch ", o.patch,
                           "; the size must be a multiple of the patch, the patch even");
    require<ArgumentError>(!o.kinds.empty() && o.kinds[0] != RefinerAttentionKind::share,
                           "RefinerVitTrunk: the first block cannot share a map; there is none before it");
    return o;
  }
};

/// What a Refiner-ViT gives a training loop.
template <Scalar T>
struct RefinerVitOutput {
  Tensor<T> logits;        ///< (N, classes), of the class token
  Tensor<T> token_logits;  ///< (N, L, classes), un-mixed: of the image's own patches; undefined if not dense
  TokenBox box;            ///< that was mixed in; empty if none
  std::vector<Tensor<T>> maps;  ///< (N, heads, 1 + L, 1 + L) of every block, when asked for
};

/// Refiner-ViT (Zhou et al., arXiv:2106.03714) with a linear head on the class token and, if dense, another
/// on the patch tokens. Called, it gives one tensor of logits for images (N, H, W, 3),
///     head(class token) + 1/2 max over patch tokens of aux_head(patch token),
/// in training as in evaluation and never mixing tokens, so that any training loop trains both heads;
/// outputs() is for loops that use token labels. The defaults are Refiner-ViT-S without the dense head.
template <Scalar T>
struct RefinerVit {
  struct Options {
    Index classes = 1000;
    bool dense = false;
    bool mix_tokens = false;  ///< outputs() mixes tokens in training; needs dense
    typename RefinerVitTrunk<T>::Options trunk{};
  };
  struct OutputOptions {
    bool maps = false;  ///< for cosine_regularizer()
  };

  RefinerVit(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        head({.in = o.trunk.channels, .out = o.classes, .init = Init::truncated_normal}, rng),
        mix(o.mix_tokens),
        mix_rng(rng.split()) {
    require<ArgumentError>(o.dense || !o.mix_tokens,
                           "RefinerVit: mix_tokens without dense; token logits are what tells images apart");
    if (o.dense)
      aux_head.emplace(
          typename Linear<T>::Options{
              .in = o.trunk.channels, .out = o.classes, .init = Init::truncated_normal},
          rng);
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const RefinerVitOutput<T> y = run(image, {}, false);
    return {aux_head ? add(y.logits, mul(max(y.token_logits, {1}), 0.5)) : y.logits};
  }
  /// What token_mixing_loss() and cosine_regularizer() take. Draws a box and mixes tokens in training, if the
  /// network was made for it.
  RefinerVitOutput<T> outputs(const Tensor<T>& image, const OutputOptions& o = {}) {
    const bool mixing = mix && mode.training;
    return run(image, mixing ? draw_token_box(trunk.grid_of(image), mix_rng, image.device()) : TokenBox{},
               o.maps);
  }
  void visit(auto&& parts) {
    trunk.visit(parts);
    parts("head", head), parts("aux_head", aux_head), parts("mix_rng", mix_rng), parts("mode", mode);
  }

  RefinerVitTrunk<T> trunk;
  Linear<T> head;
  std::optional<Linear<T>> aux_head;
  bool mix;
  Rng mix_rng;
  Mode mode;

 private:
  RefinerVitOutput<T> run(const Tensor<T>& image, const TokenBox& box, bool maps) {
    const auto x = trunk.tokens(image, {.box = box, .maps = maps});
    const Index N = x.tokens.dim(0), L = x.tokens.dim(1) - 1, D = x.tokens.dim(2);
    RefinerVitOutput<T> y{.logits = head(reshape(slice(x.tokens, 1, 0, 1), {N, D})),
                          .token_logits = {},
                          .box = box,
                          .maps = x.maps};
    if (aux_head) {
      const Tensor<T> mixed = (*aux_head)(slice(x.tokens, 1, 1, 1 + L));
      const Pair grid = trunk.grid_of(image);
      y.token_logits = reshape(mix_tokens(reshape(mixed, {N, grid.h, grid.w, -1}), box), mixed.shape());
    }
    return y;
  }
};

}  // namespace gram
