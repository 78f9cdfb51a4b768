// SPDX-License-Identifier: MIT
#include "gram/data/cifar.hpp"

#include <filesystem>
#include <fstream>

#include "golden.hpp"
#include "gram/data/transform.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// One record: the labels, then red 1, green 2 and blue 3 but for one marked pixel.
std::string record(const std::string& labels) {
  std::string bytes = labels + std::string(1024, '\1') + std::string(1024, '\2') + std::string(1024, '\3');
  bytes[labels.size() + 1024 + 2 * 32 + 5] = '\7';  // green at row 2, column 5
  return bytes;
}
std::string error(const std::string& bytes, const CifarFormat& format = cifar10) {
  return error_of([&] { read_cifar({InputFile("f", bytes)}, format); });
}

struct CifarFolder {
  explicit CifarFolder(const std::string& name)
      : path((std::filesystem::temp_directory_path() / ("gram_" + std::to_string(::getpid()) + name))
                 .string()) {
    std::filesystem::create_directory(path);
  }
  ~CifarFolder() { std::filesystem::remove_all(path); }
  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path + "/" + name) << bytes;
  }
  std::string path;
};

}  // namespace

TEST_CASE("CIFAR records become channels-last images") {
  const Dataset ten =
      read_cifar({InputFile("a", record("\5") + record("\1")), InputFile("b", record("\2"))}, cifar10);
  CHECK(ten.images.shape() == Shape{3, 32, 32, 3});
  CHECK(test::identical(ten.labels, Tensor<std::int64_t>({3}, {5, 1, 2})));
  CHECK(ten.classes == 10);
  CHECK(ten.images.at({2, 31, 31, 0}) == 1);
  CHECK(ten.images.at({2, 2, 5, 0}) == 1);
  CHECK(ten.images.at({2, 2, 5, 1}) == 7);
  CHECK(ten.images.at({2, 5, 2, 1}) == 2);
  CHECK(ten.images.at({0, 0, 0, 2}) == 3);
  const Dataset hundred = read_cifar({InputFile("a", record("\5\x63"))}, cifar100);
  CHECK(hundred.labels.item() == 99);
  CHECK(hundred.classes == 100);
}

TEST_CASE("CIFAR files of any other length, or with labels out of range, are refused") {
  const std::string whole = record("\5");
  CHECK(error(whole) == "");
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(error(whole.substr(0, n)) != "");
  CHECK(error("") == "'f': 0 bytes are not a number of cifar10 records of 3073");
  CHECK(error(whole + "x") == "'f': 3074 bytes are not a number of cifar10 records of 3073");
  CHECK(error(whole, cifar100) == "'f': 3073 bytes are not a number of cifar100 records of 3074");
  CHECK(error(whole + record("\x0a")) == "'f': offset 3073: label 10 is not below 10");
  CHECK(error(record("\1\x64"), cifar100) == "'f': offset 0: label 100 is not below 100");
  CHECK(error(record("\xff\x63"), cifar100) == "");  // the coarse label is not used
}

TEST_CASE("a CIFAR folder is read split by split") {
  const CifarFolder folder("cifar");
  folder.put("data_batch_2.bin", record("\2"));
  folder.put("data_batch_1.bin", record("\1"));
  folder.put("test_batch.bin", record("\3"));
  folder.put("notes.txt", "x");
  const Dataset train = read_cifar(folder.path, Split::train, cifar10);
  CHECK(test::identical(train.labels, Tensor<std::int64_t>({2}, {1, 2})));
  CHECK(train.class_names.empty());
  CHECK(train.class_name(4) == "4");
  CHECK(read_cifar(folder.path, Split::test, cifar10).labels.item() == 3);
  folder.put("batches.meta.txt",
             "airplane\r\nautomobile\n\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  CHECK(read_cifar(folder.path, Split::train, cifar10).class_name(2) == "bird");
  folder.put("batches.meta.txt", "airplane\n");
  CHECK(error_of([&] { read_cifar(folder.path, Split::train, cifar10); }) ==
        printable(folder.path + "/batches.meta.txt") + ": 1 class names; 10 are needed");
}

TEST_CASE("a folder without CIFAR files says what is missing") {
  const CifarFolder folder("cifar_empty");
  CHECK(error_of([&] { read_cifar(folder.path, Split::train, cifar10); }) ==
        printable(folder.path) + ": no train*.bin or data_batch_*.bin of cifar10");
  folder.put("test.bin.xz", "x");
  CHECK(error_of([&] { read_cifar(folder.path, Split::test, cifar100); }) ==
        printable(folder.path) + ": no test*.bin of cifar100; 'test.bin.xz' is compressed, unpack it first");
  CHECK(error_of([] { read_cifar("/nonexistent", Split::test, cifar100); }) ==
        "'/nonexistent': cannot open the folder: No such file or directory");
}

TEST_CASE("the real CIFAR-10 images are read") {
  if (!test::have_shared("data/cifar10")) return;
  const std::string folder = (test::shared_folder() / "data/cifar10").string();
  const Dataset data = read_cifar(folder, Split::test, cifar10);
  CHECK(data.images.shape() == Shape{2000, 32, 32, 3});
  CHECK(data.class_names.front() == "airplane");
  Index of_class[10] = {};
  for (const std::int64_t label : data.labels.span()) ++of_class[label];
  for (const Index n : of_class) CHECK(n == 200);
  const auto [mean, deviation] =
      channel_statistics(data.images);  // the whole set: .4914 .4822 .4465, .2470 .2435 .2616
  CHECK(mean[0] == doctest::Approx(0.491).epsilon(0.03));
  CHECK(mean[2] == doctest::Approx(0.447).epsilon(0.03));
  CHECK(deviation[1] == doctest::Approx(0.2435).epsilon(0.03));
}
