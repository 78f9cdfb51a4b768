// SPDX-License-Identifier: MIT
// What the readers of data sets share: class names, limits.
#pragma once
#include "gram/core/file.hpp"
#include "gram/core/shape.hpp"

namespace gram {
namespace detail {

/// Largest number of images of one file, and largest extent of one.
inline constexpr Index max_images = 100'000'000, max_extent = 65'536;

/// "; 'train.bin.xz' is compressed, unpack it first" when that may be why a file is not found; else "".
inline std::string compressed_hint(const std::string& folder) {
  for (const std::string& name : list_folder(folder))
    if (name.ends_with(".xz") || name.ends_with(".gz"))
      return text("; ", printable(name), " is compressed, unpack it first");
  return "";
}

}  // namespace detail

/// One name a line from the first of the files that exists; empty when none does. Throws FileError when it
/// has fewer names than there are classes.
inline std::vector<std::string> read_class_names(const std::string& folder,
                                                 const std::vector<std::string>& files, Index classes) {
  for (const std::string& candidate : files) {
    const std::string path = folder + "/" + candidate;
    if (::access(path.c_str(), R_OK) != 0) continue;
    const InputFile file(path);
    require<FileError>(file.size() <= 1 << 20U, printable(path), ": ", file.size(),
                       " bytes are too many for class names");
    std::string all(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, all.data(), all.size());
    std::vector<std::string> names;
    std::string line;
    for (const char c : all + "\n") {
      if (c != '\n') {
        if (c != '\r') line += c;
      } else if (!line.empty()) {
        names.push_back(std::exchange(line, ""));
      }
    }
    require<FileError>(static_cast<Index>(names.size()) >= classes, printable(path), ": ", names.size(),
                       " class names; ", classes, " are needed");
    names.resize(static_cast<std::size_t>(classes));
    return names;
  }
  return {};
}

}  // namespace gram
