// SPDX-License-Identifier: MIT
// The IDX files of MNIST (LeCun, Cortes, Burges) and of sets in its form: a big-endian header 0x000008 and
// the number of axes, one u32 an axis, then the bytes.
#pragma once
#include "gram/data/dataset.hpp"
#include "gram/data/files.hpp"

namespace gram {

/// The bytes of an IDX file with so many axes. Throws FileError for another magic number, an extent above
/// 65,536 (of an image), or a length that is not exactly what the header says.
inline Tensor<std::uint8_t> read_idx(const InputFile& file, int axes) {
  require<ArgumentError>(axes >= 1 && axes <= Shape::max_rank, "read_idx: ", axes, " axes");
  const auto number = [&](int i) {
    std::uint8_t b[4];
    file.read(static_cast<std::uint64_t>(4 * i), b, 4);
    return std::uint32_t{b[0]} << 24U | std::uint32_t{b[1]} << 16U | std::uint32_t{b[2]} << 8U | b[3];
  };
  const std::uint32_t magic = number(0), expected = 0x800U + static_cast<std::uint32_t>(axes);
  require<FileError>(magic == expected, printable(file.path()), ": magic number ", magic, ", expected ",
                     expected, " (unsigned bytes, ", axes, " axes)");
  Shape shape;
  for (int axis = 0; axis < axes; ++axis) {
    const Index extent = number(1 + axis), most = axis == 0 ? detail::max_images : detail::max_extent;
    require<FileError>(extent <= most, printable(file.path()), ": extent ", extent, " of axis ", axis,
                       "; at most ", most, " are allowed");
    try {
      shape.append(extent);
    } catch (const ShapeError& error) {
      throw FileError(text(printable(file.path()), ": ", error.what()));
    }
  }
  const Index header = 4 * (1 + axes), found = static_cast<Index>(file.size()) - header;
  require<FileError>(found == shape.size(), printable(file.path()), ": shape ", shape, " needs ",
                     shape.size(), " bytes, ", found, " follow the header");
  Tensor<std::uint8_t> values(shape);
  file.read(static_cast<std::uint64_t>(header), values.data(), values.span().size_bytes());
  return values;
}

/// Images (N, H, W, 1) and labels of a pair of files. Throws FileError when there is no image, when their
/// numbers differ, or when a label is not below `classes`.
inline Dataset read_idx_pair(const InputFile& images, const InputFile& labels, std::string name = "mnist",
                             Index classes = 10) {
  const Tensor<std::uint8_t> pixels = read_idx(images, 3), label = read_idx(labels, 1);
  require<FileError>(pixels.size() > 0, printable(images.path()), ": shape ", pixels.shape(),
                     "; there is no image");
  require<FileError>(pixels.dim(0) == label.dim(0), printable(labels.path()), ": ", label.dim(0),
                     " labels for ", pixels.dim(0), " images");
  Dataset data{std::move(name),
               pixels.alias({pixels.dim(0), pixels.dim(1), pixels.dim(2), 1}),
               Tensor<std::int64_t>(label.shape()),
               classes,
               {}};
  for (Index i = 0; i < label.size(); ++i) {
    const std::uint8_t value = label.data()[i];
    require<FileError>(value < classes, printable(labels.path()), ": offset ", 8 + i, ": label ", value,
                       " is not below ", classes);
    data.labels.data()[i] = value;
  }
  return data;
}

/// The pair of a folder under its usual names, train-images-idx3-ubyte or t10k-images-idx3-ubyte; class names
/// from labels.txt where there is one.
inline Dataset read_idx_pair(const std::string& folder, Split split, const std::string& name = "mnist") {
  const std::string prefix = folder + (split == Split::train ? "/train-" : "/t10k-");
  const auto existing = [&](const std::string& kind, const std::string& axes) {
    for (const char* separator : {"-", "."})
      if (const std::string path = prefix + kind + separator + axes; ::access(path.c_str(), F_OK) == 0)
        return path;
    throw FileError(
        text(printable(prefix + kind + "-" + axes), ": no such file", detail::compressed_hint(folder)));
  };
  const InputFile images(existing("images", "idx3-ubyte")), labels(existing("labels", "idx1-ubyte"));
  Dataset data = read_idx_pair(images, labels, name);
  data.class_names = read_class_names(folder, {"labels.txt"}, data.classes);
  return data;
}

}  // namespace gram
