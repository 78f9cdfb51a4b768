// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

#include "gram/core/names.hpp"
#include "gram/core/pair.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// Images with one label each, in memory. Copies share it.
struct Dataset {
  std::string name;
  Tensor<std::uint8_t> images;  ///< (N, H, W, C)
  Tensor<std::int64_t> labels;  ///< (N), each in [0, classes)
  Index classes = 0;
  std::vector<std::string> class_names;  ///< one a class, or none

  Index size() const { return labels.size(); }
  /// "sneaker", or "7" where classes have no names.
  std::string class_name(Index label) const {
    const auto i = static_cast<std::size_t>(label);
    return i < class_names.size() ? class_names[i] : std::to_string(label);
  }
};

enum class Split { train, test };
inline std::string to_text(Split split) { return split == Split::train ? "train" : "test"; }

/// Throws ShapeError or ArgumentError unless images and labels go together.
inline void check_dataset(const Dataset& data) {
  require(data.images.rank() == 4 && data.labels.rank() == 1 && data.images.dim(0) == data.labels.dim(0),
          "data set ", printable(data.name), ": images have shape ", data.images.shape(), ", labels ",
          data.labels.shape(), "; (N, H, W, C) and (N) are needed");
  for (Index i = 0; i < data.labels.size(); ++i) {
    const std::int64_t label = data.labels.data()[i];
    require<ArgumentError>(label >= 0 && label < data.classes, "data set ", printable(data.name), ": label ",
                           label, " of image ", i, " is not below ", data.classes);
  }
}

/// Images [begin, end), sharing memory; throws ShapeError when there are fewer.
inline Dataset subset(const Dataset& data, Index begin, Index end) {
  Dataset part = data;
  part.images = data.images.alias_rows(begin, end);
  part.labels = data.labels.alias_rows(begin, end);
  return part;
}

/// Images (N, H, W, C) in the middle of black ones of the given size; throws ShapeError when that is smaller.
inline Tensor<std::uint8_t> pad_to(const Tensor<std::uint8_t>& images, Pair size) {
  require(images.rank() == 4, "pad_to: images have shape ", images.shape(), "; (N, H, W, C) is needed");
  const Index n = images.dim(0), h = images.dim(1), w = images.dim(2), c = images.dim(3);
  require(size.h >= h && size.w >= w, "pad_to: images have shape ", images.shape(), ", which is larger than ",
          size);
  if (size == Pair(h, w)) return images;
  Tensor<std::uint8_t> padded = zeros<std::uint8_t>({n, size.h, size.w, c});
  const Index top = (size.h - h) / 2, left = (size.w - w) / 2;
  if (images.size() == 0) return padded;
  for (Index i = 0; i < n; ++i)
    for (Index y = 0; y < h; ++y)
      std::memcpy(padded.data() + ((i * size.h + y + top) * size.w + left) * c,
                  images.data() + (i * h + y) * w * c, static_cast<std::size_t>(w * c));
  return padded;
}

/// Grey images (N, H, W, 1) as colour images (N, H, W, 3) with three equal channels; colour images as they
/// are.
inline Tensor<std::uint8_t> to_rgb(const Tensor<std::uint8_t>& images) {
  require(images.rank() == 4 && (images.dim(3) == 1 || images.dim(3) == 3), "to_rgb: images have shape ",
          images.shape(), "; (N, H, W, 1) or (N, H, W, 3) is needed");
  if (images.dim(3) == 3) return images;
  Tensor<std::uint8_t> colour({images.dim(0), images.dim(1), images.dim(2), 3});
  for (Index i = 0; i < colour.size(); ++i) colour.data()[i] = images.data()[i / 3];
  return colour;
}

}  // namespace gram
