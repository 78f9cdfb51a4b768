// SPDX-License-Identifier: MIT
#include "gram/data/idx.hpp"

#include <filesystem>
#include <fstream>

#include "gram/data/open.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

std::string number(std::uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U), static_cast<char>(value >> 8U),
          static_cast<char>(value)};
}
std::string header(std::uint32_t magic, std::initializer_list<std::uint32_t> extents) {
  std::string bytes = number(magic);
  for (const std::uint32_t extent : extents) bytes += number(extent);
  return bytes;
}
const std::string image_bytes =
    header(0x803, {2, 2, 3}) + std::string("\0\1\2\3\4\5\6\7\x08\x09\x0a\xff", 12);
const std::string label_bytes = header(0x801, {2}) + "\x09\1";

std::string error(const std::string& bytes, int axes) {
  return error_of([&] { read_idx(InputFile("f", bytes), axes); });
}
std::string pair_error(const std::string& i, const std::string& l) {
  return error_of([&] { read_idx_pair(InputFile("i", i), InputFile("l", l)); });
}

}  // namespace

TEST_CASE("an IDX pair becomes grey images with labels") {
  const Dataset data = read_idx_pair(InputFile("i", image_bytes), InputFile("l", label_bytes));
  CHECK(data.images.shape() == Shape{2, 2, 3, 1});
  CHECK(data.images.at({1, 0, 2, 0}) == 8);
  CHECK(data.images.at({1, 1, 2, 0}) == 255);
  CHECK(test::identical(data.labels, Tensor<std::int64_t>({2}, {9, 1})));
  CHECK(read_idx(InputFile("f", header(0x803, {0, 28, 28})), 3).shape() == Shape{0, 28, 28});
}

TEST_CASE("IDX files that lie are refused") {
  for (std::size_t n = 0; n < image_bytes.size(); ++n) CHECK(error(image_bytes.substr(0, n), 3) != "");
  CHECK(error("", 3) == "'f': 4 bytes at offset 0 lie beyond the end of the file (0 bytes)");
  CHECK(error(image_bytes, 1) == "'f': magic number 2051, expected 2049 (unsigned bytes, 1 axes)");
  CHECK(error(header(0xD03, {1, 1, 1}) + std::string(4, '\0'), 3) ==
        "'f': magic number 3331, expected 2051 (unsigned bytes, 3 axes)");
  CHECK(error(image_bytes + "x", 3) == "'f': shape (2, 2, 3) needs 12 bytes, 13 follow the header");
  CHECK(error(header(0x803, {2, 70000, 1}), 3) == "'f': extent 70000 of axis 1; at most 65536 are allowed");
  CHECK(error(header(0x803, {4294967295U, 1, 1}), 3) ==
        "'f': extent 4294967295 of axis 0; at most 100000000 are allowed");
  CHECK(error(header(0x803, {100000000, 65536, 65536}), 3) ==
        "'f': shape (100000000, 65536, 65536) needs 429496729600000000 bytes, 0 follow the header");
  CHECK(error(header(0x804, {100000000, 65536, 65536, 32}), 4) == "'f': shape: more than 2^59 elements");
  CHECK(error(header(0x806, {100000000, 65536, 65536, 65536, 1, 1}), 6) ==
        "'f': shape: more than 2^59 elements");
}

TEST_CASE("IDX pairs that do not belong together are refused") {
  CHECK(pair_error(image_bytes, label_bytes) == "");
  CHECK(pair_error(image_bytes, header(0x801, {1}) + "\1") == "'l': 1 labels for 2 images");
  CHECK(pair_error(image_bytes, header(0x801, {2}) + "\1\x0a") == "'l': offset 9: label 10 is not below 10");
  CHECK(pair_error(header(0x803, {0, 28, 28}), header(0x801, {0})) ==
        "'i': shape (0, 28, 28); there is no image");
  CHECK(pair_error(header(0x803, {2, 0, 28}), label_bytes) == "'i': shape (2, 0, 28); there is no image");
  CHECK(pair_error(label_bytes, image_bytes) ==
        "'i': magic number 2049, expected 2051 (unsigned bytes, 3 axes)");
}

TEST_CASE("an IDX folder is read under either of its usual names") {
  const auto folder = std::filesystem::temp_directory_path() / ("gram_" + std::to_string(::getpid()) + "idx");
  std::filesystem::create_directory(folder);
  CHECK(error_of([&] { read_idx_pair(folder.string(), Split::test); }) ==
        printable(folder.string() + "/t10k-images-idx3-ubyte") + ": no such file");
  std::ofstream(folder / "train-images-idx3-ubyte") << image_bytes;
  std::ofstream(folder / "train-labels.idx1-ubyte") << label_bytes;
  CHECK(read_idx_pair(folder.string(), Split::train).images.shape() == Shape{2, 2, 3, 1});
  const Dataset data = open_dataset("mnist", folder.string(), Split::train);
  CHECK(data.images.shape() == Shape{2, 32, 32, 3});
  CHECK(data.images.at({1, 16, 16, 2}) == 255);
  std::ofstream(folder / "train-images-idx3-ubyte") << header(0x803, {2, 33, 1}) + std::string(66, '\0');
  CHECK(error_of([&] { open_dataset("mnist", folder.string(), Split::train); }) ==
        printable(folder.string()) + ": images of 33 x 1 pixels; mnist has no larger ones than 32 x 32");
  std::filesystem::remove_all(folder);
}
