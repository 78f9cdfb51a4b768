// SPDX-License-Identifier: MIT
#pragma once
#include "gram/data/cifar.hpp"
#include "gram/data/idx.hpp"
#include "gram/data/textures.hpp"

namespace gram {

/// The names open_dataset knows.
inline std::vector<std::string> dataset_names() {
  return {"textures", "cifar10", "cifar100", "mnist", "fashion_mnist"};
}

/// A data set by name, with three channels and, for the sets of photographs and drawings, 32 x 32 pixels
/// (MNIST's 28 x 28 are padded). `folder` holds its files; textures are generated, `textures` describes the
/// training split (the test split has another seed and, unless test_count says otherwise, a quarter of the
/// images). Throws ArgumentError for an unknown name or a set of files without a folder, FileError for
/// missing or broken files.
inline Dataset open_dataset(const std::string& name, const std::string& folder, Split split,
                            TextureOptions textures = {}, Index test_count = 0) {
  if (name == "textures") {
    if (split == Split::test) {
      textures.seed = Rng(textures.seed).fork(1).seed();
      textures.count = test_count ? test_count : std::max<Index>(1, textures.count / 4);
    }
    return make_textures(textures);
  }
  const std::vector<std::string> known = dataset_names();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw ArgumentError(unknown_name("open_dataset", "data set", name, known));
  require<ArgumentError>(!folder.empty(), "open_dataset: ", name, " needs the folder with its files");
  if (name == "cifar10") return read_cifar(folder, split, cifar10);
  if (name == "cifar100") return read_cifar(folder, split, cifar100);
  Dataset data = read_idx_pair(folder, split, name);
  const Index height = data.images.dim(1), width = data.images.dim(2);
  require<FileError>(height <= 32 && width <= 32, printable(folder), ": images of ", height, " x ", width,
                     " pixels; ", name, " has no larger ones than 32 x 32");
  data.images = to_rgb(pad_to(data.images, 32));
  return data;
}

}  // namespace gram
