// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/pair.hpp"
#include "gram/cpu/explicit_attention.hpp"
#include "gram/cuda/explicit_attention.hpp"
#include "gram/ops/cast.hpp"
#include "gram/ops/matmul.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// How attention falls with the distance d of two pixels.
enum class AttentionDecay {
  gaussian,     ///< exp(-d^2 / (2 r^2))
  exponential,  ///< exp(-d / r)
};

struct ExplicitAttentionOptions {
  AttentionDecay decay = AttentionDecay::gaussian;
  bool normalize = true;  ///< the weights with which a pixel reads the others sum to one, also at borders
  bool self = true;       ///< a pixel reads itself, too

  /// Whether the map is a product of one over the rows and one over the columns.
  bool separable() const { return decay == AttentionDecay::gaussian && self; }
};

namespace detail {

/// Checks the size of a map and its radii, one for each attention head.
inline DistanceMap distance_map(const char* name, Pair size, const Shape& log_radius,
                                ExplicitAttentionOptions options) {
  require(size.h > 0 && size.w > 0, name, ": the map has ", size, " pixels, but at least one is needed");
  require(options.self || !options.normalize || size.h * size.w > 1, name,
          ": the map has one pixel, but without itself it has nothing to read");
  require(log_radius.rank() == 1 && log_radius[0] > 0, name, ": log_radius has shape ", log_radius,
          "; one value for each attention head is expected");
  return {.H = size.h,
          .W = size.w,
          .gaussian = options.decay == AttentionDecay::gaussian,
          .normalize = options.normalize,
          .self = options.self};
}

/// Checks v (N, H, W, C) against the radii as well.
inline DistanceMap distance_map(const char* name, const Shape& v, const Shape& log_radius,
                                ExplicitAttentionOptions options) {
  require(v.rank() == 4, name, ": v has shape ", v, ", but (N, H, W, C) is needed");
  const DistanceMap map = distance_map(name, Pair(v[1], v[2]), log_radius, options);
  require(v[3] % log_radius[0] == 0, name, ": v has ", v[3], " channels; the ", log_radius[0],
          " attention heads of log_radius must divide them");
  return map;
}

}  // namespace detail

/// The attention map of a grid of pixels as an explicit function of their distance, the same for all images
/// (arXiv:2006.07872): log_radius (heads) -> A (heads, H W, H W), for the Gaussian
///     A_ij = exp(-|p_i - p_j|^2 / (2 r^2)) / sum_k exp(-|p_i - p_k|^2 / (2 r^2)),     r = exp(log_radius).
/// Differentiable with respect to log_radius. Throws ShapeError unless there is a pixel to read and a radius.
template <Scalar T>
Tensor<T> explicit_attention_map(const Tensor<T>& log_radius, Pair size,
                                 ExplicitAttentionOptions options = {}) {
  const DistanceMap map = detail::distance_map("explicit_attention_map", size, log_radius.shape(), options);
  const Index heads = log_radius.size();
  Tensor<T> maps({heads, map.pixels(), map.pixels()}, log_radius.device());
  on(maps.device(),
     [&](auto device) { kernels::distance_maps(device, map, heads, log_radius.data(), maps.data()); });
  return record("explicit_attention_map", maps, {log_radius},
                [map, heads, log_radius = log_radius.detach(),
                 dradius = log_radius.gradient()](const Tensor<T>& dmaps) {
                  if (const GradientSink<T> sink = dradius.sink())
                    on(dmaps.device(), [&](auto device) {
                      kernels::distance_maps_grad(device, map, heads, log_radius.data(), dmaps.data(), sink);
                    });
                });
}

/// explicit_attention() as the product with the map itself, which works for every map: (H W)^2
/// multiplications to a channel. Throws as explicit_attention().
template <Scalar T>
Tensor<T> explicit_attention_dense(const Tensor<T>& v, const Tensor<accum_t<T>>& log_radius,
                                   ExplicitAttentionOptions options = {}) {
  detail::distance_map("explicit_attention", v.shape(), log_radius.shape(), options);
  const Index N = v.dim(0), L = v.dim(1) * v.dim(2), heads = log_radius.size(), d = v.dim(3) / heads;
  const Tensor<accum_t<T>> map = explicit_attention_map(log_radius, {v.dim(1), v.dim(2)}, options);
  // All images are columns of one matrix: (heads, L, N d).
  const Tensor<T> columns = permute(reshape(v, {N, L, heads, d}), {2, 1, 0, 3});
  const Tensor<T> y = matmul(cast<T>(map), reshape(columns, {heads, L, N * d}));
  return reshape(permute(reshape(y, {heads, L, N, d}), {2, 1, 0, 3}), v.shape());
}

/// Attention whose map is an explicit function of the distance of pixels and has one parameter, a radius
/// (arXiv:2006.07872, abstract; the exact form is inferred): y = A v with the maps A of
/// explicit_attention_map(). v (N, H, W, C), log_radius (heads) -> y (N, H, W, C); channels [h C / heads, (h
/// + 1) C / heads) are read with radius h. Gaussian maps that hold the pixel itself are evaluated by rows and
/// columns, H + W multiplications to an element; others as a dense product. Differentiable with respect to
/// both. Throws ShapeError when the heads do not divide C or there is nothing to read.
template <Scalar T>
Tensor<T> explicit_attention(const Tensor<T>& v, const Tensor<accum_t<T>>& log_radius,
                             ExplicitAttentionOptions options = {}) {
  if (!options.separable()) return explicit_attention_dense(v, log_radius, options);
  const DistanceMap map = detail::distance_map("explicit_attention", v.shape(), log_radius.shape(), options);
  if constexpr (!std::same_as<T, accum_t<T>>) {
    return cast<T>(explicit_attention(cast<accum_t<T>>(v), log_radius, options));
  } else {
    const kernels::GaussianAttentionShape s{.images = v.dim(0),
                                            .H = map.H,
                                            .W = map.W,
                                            .heads = log_radius.size(),
                                            .width = v.dim(3) / log_radius.size(),
                                            .normalize = map.normalize};
    require_one_device("explicit_attention", {&v, &log_radius});
    Tensor<T> y(v.shape(), v.device());
    on(v.device(),
       [&](auto device) { kernels::gaussian_attention(device, s, log_radius.data(), v.data(), y.data()); });
    return record("explicit_attention", y, {v, log_radius},
                  [s, dv = v.gradient(), dradius = log_radius.gradient(),
                   v = log_radius.requires_grad() ? v.detach() : Tensor<T>{},
                   log_radius = log_radius.detach()](const Tensor<T>& dy) {
                    const GradientSink<T> to_v = dv.sink(), to_radius = dradius.sink();
                    on(dy.device(), [&](auto device) {
                      kernels::gaussian_attention_grad(device, s, log_radius.data(), v.data(), dy.data(),
                                                       to_v, to_radius);
                    });
                  });
  }
}

}  // namespace gram
