// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/window.hpp"
#include "gram/cuda/permute.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// The channels of a map that its windows hold: the map's are `parts` blocks of one width, queries, keys and
/// values for example, and of each block the windows hold [begin, begin + width).
struct WindowChannels {
  Index parts = 1;
  Index begin = 0;
  Index width = 0;  ///< 0: all from `begin` to the end of the block
};

/// Cuts a map into windows of h x w pixels, both row by row: x (N, H, W, C) -> (N H/h W/w, h w, parts width),
/// the chosen channels of the blocks side by side. Windows of full width with all channels share x's memory.
/// Throws ShapeError when the windows do not divide the map or the map does not have the channels.
template <Scalar T>
Tensor<T> cut_windows(const Tensor<T>& x, Pair window, WindowChannels channels = {}) {
  require(x.rank() == 4, "cut_windows: x has shape ", x.shape(), "; (N, H, W, C) is needed");
  require<ArgumentError>(window.h >= 1 && window.w >= 1, "cut_windows: window is ", window,
                         "; it must be positive");
  require(x.dim(1) % window.h == 0 && x.dim(2) % window.w == 0, "cut_windows: x has shape ", x.shape(),
          ", but windows of ", window, " must divide its height and width");
  const auto [parts, begin, width] = channels;
  require(parts >= 1 && x.dim(3) % parts == 0, "cut_windows: x has shape ", x.shape(),
          ", but its channels are not ", parts, " equal blocks");
  const Index block = x.dim(3) / parts;
  const WindowShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3),
                      window,   parts,    begin,    width ? width : block - begin};
  require(begin >= 0 && s.width >= 0 && begin + s.width <= block, "cut_windows: x has shape ", x.shape(),
          ", ", parts, " blocks of ", block, " channels, but channels ", begin, " to ", begin + s.width,
          " of each are asked for");
  const Shape shape{s.windows(), s.tokens(), s.channels()};
  const bool all = s.channels() == s.c;
  if (all && window.w == s.w) return reshape(x, shape);
  Tensor<T> y(shape, x.device());
  on(x.device(), [&](auto device) { kernels::cut_windows(device, s, x.data(), y.data(), false); });
  return record("cut_windows", y, {x}, [s, all, dx = x.gradient()](const Tensor<T>& dy) {
    const GradientSink<T> sink = dx.sink();
    on(dy.device(), [&](auto device) {
      if (!sink.add && !all) kernels::fill(device, sink.data, T(0.0F), dx.shape().size());
      kernels::join_windows(device, s, dy.data(), sink.data, sink.add);
    });
  });
}

/// Puts windows back in their places, those of several cuts of one map side by side: parts[i] (N H/h_i W/w_i,
/// h_i w_i, C_i) of windows[i] = (h_i, w_i) -> (N, H, W, sum of C_i), where size = (H, W). Throws ShapeError
/// when the windows do not divide the map or do not make up the same number of maps. A single part
/// of full width shares its memory.
template <Scalar T>
Tensor<T> join_windows(const std::vector<Tensor<T>>& parts, const std::vector<Pair>& windows, Pair size) {
  require(!parts.empty() && parts.size() == windows.size(), "join_windows: ", parts.size(), " tensors and ",
          windows.size(), " window sizes; one size to a tensor is needed");
  std::vector<WindowShape> shapes;
  Index images = 0, channels = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Pair window = windows[i];
    const Shape& shape = parts[i].shape();
    require(window.h >= 1 && window.w >= 1 && size.h % window.h == 0 && size.w % window.w == 0,
            "join_windows: windows of ", window, " must divide the map of ", size);
    const Index each = size.h / window.h * (size.w / window.w);
    if (i == 0 && shape.rank() == 3 && each > 0) images = shape[0] / each;
    require(shape.rank() == 3 && shape[0] == images * each && shape[1] == window.h * window.w,
            "join_windows: parts[", i, "] has shape ", shape, ", but windows of ", window, " on ", images,
            " maps of ", size, " are (", images * each, ", ", window.h * window.w, ", C)");
    require_one_device("join_windows", {&parts[0], &parts[i]});
    shapes.push_back({images, size.h, size.w, 0, window, 1, channels, shape[2]});
    channels += shape[2];
  }
  const Shape map{images, size.h, size.w, channels};
  if (parts.size() == 1 && windows[0].w == size.w) return reshape(parts[0], map);
  Tensor<T> y(map, parts[0].device());
  std::vector<Gradient<T>> gradients;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    shapes[i].c = channels;
    on(y.device(),
       [&](auto device) { kernels::join_windows(device, shapes[i], parts[i].data(), y.data(), false); });
    gradients.push_back(parts[i].gradient());
  }
  return record("join_windows", y, std::vector<AnyTensor>(parts.begin(), parts.end()),
                [shapes = std::move(shapes), gradients = std::move(gradients)](const Tensor<T>& dy) {
                  for (std::size_t i = 0; i < shapes.size(); ++i)
                    if (const GradientSink<T> sink = gradients[i].sink())
                      on(dy.device(), [&](auto device) {
                        kernels::cut_windows(device, shapes[i], dy.data(), sink.data, sink.add);
                      });
                });
}

}  // namespace gram
