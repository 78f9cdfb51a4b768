// SPDX-License-Identifier: MIT
#include "gram/io/safetensors_writer.hpp"

#include <filesystem>

#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string all(8, '\0');
  std::memcpy(all.data(), &length, 8);
  return all + rest;
}

}  // namespace

TEST_CASE("safetensors writer: headers agree with those of the reference implementation") {
  // Known answers of safetensors/src/tensor.rs (test_empty, test_serialization,
  // test_serialization_forced_alignment).
  SafeTensorsWriter w;
  w.metadata.clear();
  CHECK(w.header() == with_length(8, "{}      "));
  w.metadata["framework"] = "pt";
  CHECK(w.header() == with_length(40, "{\"__metadata__\":{\"framework\":\"pt\"}}     "));
  w.metadata.clear();
  w.add("attn.0", zeros<float>({1, 2, 3}));
  CHECK(w.header() ==
        with_length(64, "{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"));
  SafeTensorsWriter padded;
  padded.metadata.clear();
  padded.add("attn0", zeros<float>({1, 1, 2, 3}));
  CHECK(
      padded.header() ==
      with_length(72, "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}       "));
  CHECK(SafeTensorsWriter{}.header() == with_length(32, "{\"__metadata__\":{\"format\":\"pt\"}}"));
}

TEST_CASE("safetensors writer: names and files that are refused") {
  CHECK(error_of([] {
          SafeTensorsWriter{}.write("/nonexistent/x");
        }).find("cannot write: No such file or directory") != std::string::npos);
  SafeTensorsWriter w;
  w.add("x", zeros<float>({1}));
  CHECK(error_of([&] { w.add("x", zeros<float>({1})); }) ==
        "SafeTensorsWriter::add: there are two tensors of one name");
  CHECK(error_of([&] { w.add("__metadata__", zeros<float>({1})); }) ==
        "SafeTensorsWriter::add: '__metadata__' cannot name a tensor");
  CHECK(error_of([&] { w.add("\xff", zeros<float>({1})); }) ==
        "SafeTensorsWriter::add: '\\xff' cannot name a tensor");
  CHECK(error_of([&] { w.add("y", Tensor<float>{}); }) == "SafeTensorsWriter::add: 'y' is undefined");
}

TEST_CASE("safetensors writer: metadata that no reader would take are refused") {
  SafeTensorsWriter w;
  w.metadata["folder"] = "\xff";
  CHECK(error_of([&] { w.header(); }) == "SafeTensorsWriter: metadata '\\xff' is not valid UTF-8");
}

TEST_CASE("safetensors: the checksum of a file is that of its writer, until a value changes") {
  SafeTensorsWriter w;
  w.add("a", randn<float>({3, 5}, 1));
  w.add("b", randn<double>({9001}, 2));
  w.add("c", Tensor<std::uint8_t>({3}, {1, 2, 3}));
  w.add("none", Tensor<float>({0}));
  const std::string path =
      (std::filesystem::temp_directory_path() / text("gram_checksum_", ::getpid())).string();
  w.write(path);
  const InputFile file(path);
  std::string bytes(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, bytes.data(), bytes.size());
  std::filesystem::remove(path);
  CHECK(SafeTensors::parse("f", bytes).checksum() == w.checksum());
  for (std::size_t at = w.header().size(); at < bytes.size(); at += at < bytes.size() - 100 ? 997 : 1) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    CHECK(SafeTensors::parse("f", changed).checksum() != w.checksum());
  }
  for (const auto& [from, to] : {std::pair{"F32", "I32"}, {"\"a\"", "\"d\""}}) {
    std::string changed = bytes;
    changed.replace(changed.find(from), 3, to);
    CHECK(SafeTensors::parse("f", changed).checksum() != w.checksum());
  }
}
