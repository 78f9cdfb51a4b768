// SPDX-License-Identifier: MIT
// Token mixing: in a rectangle of patches every image of a batch takes the tokens of another one, and a dense
// head is told at each token which image it came from (Jiang et al., "All tokens matter: token labeling for
// training better vision transformers", arXiv:2104.10858, section 3.3; used by Refiner-ViT,
// arXiv:2106.03714).
#pragma once
#include "gram/core/cuda_capture.hpp"
#include "gram/core/pair.hpp"
#include "gram/core/random.hpp"
#include "gram/cpu/token_mixing.hpp"
#include "gram/cuda/token_mixing.hpp"
#include "gram/loss/cross_entropy.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// A random box on a grid of patches: lambda ~ Beta(1, 1), which is uniform, sides sqrt(1 - lambda) of the
/// grid's, rounded down to even ones, around a uniform centre and cut at the border, as in CutMix
/// (arXiv:1905.04899). Takes three numbers of rng. Throws ArgumentError for a grid without patches.
inline TokenBox draw_token_box(Pair grid, Rng& rng) {
  require<ArgumentError>(grid.h > 0 && grid.w > 0, "draw_token_box: grid is ", grid,
                         ", but both extents must be positive");
  const double side = std::sqrt(1 - rng.uniform());
  struct Range {
    Index begin, end;
  };
  const auto range = [&](Index extent) {
    const Index half = static_cast<Index>(static_cast<double>(extent) * side) / 2, centre = rng.below(extent);
    return Range{std::max<Index>(0, centre - half), std::min(extent, centre + half)};
  };
  const Range rows = range(grid.h), columns = range(grid.w);
  return {.top = rows.begin, .left = columns.begin, .bottom = rows.end, .right = columns.end};
}

/// The same for images on a device. While a CUDA graph is captured, every replay draws a box, as a plain step
/// would, and rng must stay where it is.
inline TokenBox draw_token_box(Pair grid, Rng& rng, Device device) {
  if (!cuda::current_capture || device == Device::cpu()) return draw_token_box(grid, rng);
  TokenBox box;
  box.live = cuda::current_capture->live([grid, &rng] { return draw_token_box(grid, rng); });
  return box;
}

/// Inside the box image n takes the values of image N - 1 - n: y[n, i, j] = x[N - 1 - n, i, j], and outside
/// y = x. x, y (N, H, W, C). Doing it twice gives x back, so this also un-mixes. An empty box returns x.
/// Throws ShapeError unless x is a map and the box lies on it.
template <Scalar T>
Tensor<T> mix_tokens(const Tensor<T>& x, const TokenBox& box) {
  require(x.rank() == 4, "mix_tokens: x has shape ", x.shape(), ", but (N, H, W, C) is needed");
  require(0 <= box.top && box.top <= box.bottom && box.bottom <= x.dim(1) && 0 <= box.left &&
              box.left <= box.right && box.right <= x.dim(2),
          "mix_tokens: rows ", box.top, " to ", box.bottom, " and columns ", box.left, " to ", box.right,
          " do not lie on x ", x.shape());
  if (!box.live && box.area() == 0) return x;
  Tensor<T> y(x.shape(), x.device());
  on(x.device(),
     [&](auto device) { kernels::exchange_box(device, x.shape(), box, x.data(), y.data(), false); });
  return record("mix_tokens", y, {x}, [box, dx = x.gradient()](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(), [&](auto device) {
        kernels::exchange_box(device, dy.shape(), box, dy.data(), sink.data, sink.add);
      });
  });
}

namespace detail {

template <Scalar T>
Tensor<T> reverse_batch(const Tensor<T>& x) {
  const Tensor<T> pixels = reshape(x, {x.dim(0), 1, 1, x.size() / std::max<Index>(1, x.dim(0))});
  return reshape(mix_tokens(pixels, {0, 0, 1, 1}), x.shape());
}
/// Each row `times` times in a row.
template <Scalar T>
Tensor<T> repeat_rows(const Tensor<T>& x, Index times) {
  const Tensor<T> rows = reshape(x, {x.dim(0), 1, x.dim(1)});
  return reshape(mul(rows, ones<T>({1, times, 1}, x.device())), {x.dim(0) * times, x.dim(1)});
}

inline Tensor<std::int64_t> arranged(const Tensor<std::int64_t>& labels, Index times, bool reversed) {
  Tensor<std::int64_t> y({labels.size() * times}, labels.device());
  on(labels.device(), [&](auto device) {
    kernels::arrange_labels(device, labels.data(), labels.size(), times, reversed, y.data());
  });
  return y;
}
inline Tensor<std::int64_t> reverse_batch(const Tensor<std::int64_t>& labels) {
  return arranged(labels, 1, true);
}
inline Tensor<std::int64_t> repeat_rows(const Tensor<std::int64_t>& labels, Index times) {
  return arranged(labels, times, false);
}

/// kept own + (1 - kept) other, where kept = 1 - area of the box / tokens. On a GPU that share is computed
/// there, in plain steps as in replays: the host does not know the box of a replay.
template <Scalar T>
Tensor<T> mixed_loss(const Tensor<T>& own, const Tensor<T>& other, const TokenBox& box, Index tokens) {
  if (own.device() == Device::cpu()) {
    const double kept = 1 - static_cast<double>(box.area()) / static_cast<double>(tokens);
    return kept * own + (1 - kept) * other;
  }
  const Tensor<T> kept(Shape{}, own.device());
  kernels::kept_share(Cuda{own.device().index()}, box, tokens, kept.data());
  return kept * own + (1 - kept) * other;
}

}  // namespace detail

struct TokenMixingLossOptions {
  double class_weight = 1, token_weight = 0.5;
  double smoothing = 0;  ///< s: the target t of C classes becomes (1 - s) t + s / C
};

/// The loss of a network with a dense head, a scalar: with H the cross-entropy, averaged over images (and
/// tokens),
///     class_weight H(logits, lambda t + (1 - lambda) t') + token_weight H(token_logits, u),
/// where t are the targets, t' those in reverse order, lambda = 1 - area of the box / L what an image kept of
/// itself. logits (N, C); token_logits (N, L, C), un-mixed; targets t: labels (N) or soft ones (N, C);
/// token_targets u: soft ones (N, L, C), or undefined: every token has the target of its image. The
/// specification fixes box and un-mixing; lambda and both terms follow the released code of Refiner-ViT and
/// arXiv:2104.10858, eq. 2. Throws ShapeError and ArgumentError as cross_entropy, and for a box of more than
/// L tokens.
template <Scalar T, Element Target>
requires std::same_as<Target, T> || std::same_as<Target, std::int64_t> Tensor<T> token_mixing_loss(
    const Tensor<T>& logits, const Tensor<T>& token_logits, const TokenBox& box,
    const Tensor<Target>& targets, const std::type_identity_t<Tensor<T>>& token_targets = {},
    TokenMixingLossOptions options = {}) {
  detail::require_logits("token_mixing_loss", logits.shape());
  const Index N = logits.dim(0), C = logits.dim(1);
  require(token_logits.rank() == 3 && token_logits.dim(0) == N && token_logits.dim(1) > 0 &&
              token_logits.dim(2) == C,
          "token_mixing_loss: token logits have shape ", token_logits.shape(), ", but logits have ",
          logits.shape(), "; (", N, ", L, ", C, ") with at least one token is needed");
  const Index L = token_logits.dim(1);
  require<ArgumentError>(box.area() >= 0 && box.area() <= L, "token_mixing_loss: the box has ", box.area(),
                         " tokens, but there are ", L);
  require(!token_targets.defined() || token_targets.shape() == token_logits.shape(),
          "token_mixing_loss: token targets have shape ", token_targets.shape(), ", but token logits have ",
          token_logits.shape());

  const CrossEntropyOptions smoothing{.smoothing = options.smoothing};
  Tensor<T> image = cross_entropy(logits, targets, smoothing);
  if (box.live || box.area() > 0)  // cross-entropy is linear in the target
    image =
        detail::mixed_loss(image, cross_entropy(logits, detail::reverse_batch(targets), smoothing), box, L);
  const Tensor<T> flat = reshape(token_logits, {N * L, C});
  const Tensor<T> dense = token_targets.defined()
                              ? cross_entropy(flat, reshape(token_targets, {N * L, C}), smoothing)
                              : cross_entropy(flat, detail::repeat_rows(targets, L), smoothing);
  return options.class_weight * image + options.token_weight * dense;
}

}  // namespace gram
