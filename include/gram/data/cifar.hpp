// SPDX-License-Identifier: MIT
// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) in their
// binary form: records of one or two labels and the 32 x 32 planes of red, green and blue.
#pragma once
#include "gram/data/dataset.hpp"
#include "gram/data/files.hpp"

namespace gram {

/// One of the two sets: labels in front of an image, and which of them is the class.
struct CifarFormat {
  const char* name;
  Index classes,
      labels;  // the last label is the class; the one before it (of 20) is the coarse class of CIFAR-100
};
inline constexpr CifarFormat cifar10{"cifar10", 10, 1}, cifar100{"cifar100", 100, 2};

/// All images of the files, in order. Throws FileError when a file is empty, does not hold whole records, or
/// has a label out of range.
inline Dataset read_cifar(const std::vector<InputFile>& files, const CifarFormat& format) {
  constexpr Index pixels = 32 * 32;
  const Index record = format.labels + 3 * pixels;
  Index count = 0;
  for (const InputFile& file : files) {
    const auto size = static_cast<Index>(file.size());
    require<FileError>(size > 0 && size % record == 0, printable(file.path()), ": ", size,
                       " bytes are not a number of ", format.name, " records of ", record);
    require<FileError>(size / record <= detail::max_images, printable(file.path()), ": ", size / record,
                       " images; at most ", detail::max_images, " are allowed");
    count += size / record;
  }
  Dataset data{format.name,
               Tensor<std::uint8_t>({count, 32, 32, 3}),
               Tensor<std::int64_t>({count}),
               format.classes,
               {}};
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(record));
  Index image = 0;
  for (const InputFile& file : files)
    for (Index at = 0; at < static_cast<Index>(file.size()); at += record, ++image) {
      file.read(static_cast<std::uint64_t>(at), bytes.data(), bytes.size());
      const std::uint8_t label = bytes[static_cast<std::size_t>(format.labels - 1)];
      require<FileError>(label < format.classes, printable(file.path()), ": offset ", at, ": label ", label,
                         " is not below ", format.classes);
      data.labels.data()[image] = label;
      const std::uint8_t* planes = bytes.data() + format.labels;
      std::uint8_t* to = data.images.data() + image * 3 * pixels;
      for (Index i = 0; i < pixels; ++i)
        for (Index c = 0; c < 3; ++c) *to++ = planes[c * pixels + i];
    }
  return data;
}

/// The files of a folder that belong to one split: data_batch_*.bin and train*.bin, or test*.bin. Class names
/// come from batches.meta.txt or fine_label_names.txt where there is one. Throws FileError when no file is
/// found.
inline Dataset read_cifar(const std::string& folder, Split split, const CifarFormat& format) {
  const auto wanted = [&](const std::string& name) {
    return name.ends_with(".bin") &&
           (split == Split::test ? name.starts_with("test")
                                 : name.starts_with("train") || name.starts_with("data_batch_"));
  };
  std::vector<InputFile> files;
  for (const std::string& name : list_folder(folder))
    if (wanted(name)) files.emplace_back(folder + "/" + name);
  if (files.empty()) {
    const char* const pattern = split == Split::test ? "test*.bin" : "train*.bin or data_batch_*.bin";
    throw FileError(
        text(printable(folder), ": no ", pattern, " of ", format.name, detail::compressed_hint(folder)));
  }
  Dataset data = read_cifar(files, format);
  data.class_names = read_class_names(folder, {"batches.meta.txt", "fine_label_names.txt"}, format.classes);
  return data;
}

}  // namespace gram
