// SPDX-License-Identifier: MIT
#include "gram/data/files.hpp"

#include <filesystem>
#include <fstream>

#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

struct Folder {
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  void file(const std::string& name, const std::string& bytes) const {
    std::ofstream(path + "/" + name, std::ios::binary) << bytes;
  }
  std::string path =
      (std::filesystem::temp_directory_path() / ("gram_files_test_" + std::to_string(::getpid()))).string();
};

}  // namespace

TEST_CASE("class names are the lines of the first file there is") {
  const Folder folder;
  CHECK(read_class_names(folder.path, {"names.txt"}, 2).empty());
  folder.file("names.txt", "cat\r\n\r\nblue dog\nfish");
  folder.file("later.txt", "no\nno\n");
  CHECK(read_class_names(folder.path, {"absent.txt", "names.txt", "later.txt"}, 3) ==
        std::vector<std::string>{"cat", "blue dog", "fish"});
  CHECK(read_class_names(folder.path, {"names.txt"}, 2) == std::vector<std::string>{"cat", "blue dog"});
  CHECK(error_of([&] { read_class_names(folder.path, {"names.txt"}, 4); }) ==
        printable(folder.path + "/names.txt") + ": 3 class names; 4 are needed");
  folder.file("huge.txt", std::string((1U << 20U) + 1, '\n'));
  CHECK(error_of([&] { read_class_names(folder.path, {"huge.txt"}, 1); }) ==
        printable(folder.path + "/huge.txt") + ": 1048577 bytes are too many for class names");
}

TEST_CASE("a compressed file is pointed out") {
  const Folder folder;
  folder.file("train.bin", "");
  CHECK(detail::compressed_hint(folder.path).empty());
  folder.file("test.bin.xz", "");
  CHECK(detail::compressed_hint(folder.path) == "; 'test.bin.xz' is compressed, unpack it first");
}
