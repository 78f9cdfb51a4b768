// SPDX-License-Identifier: MIT
// clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/idx_fuzz.cpp
#include "gram/data/idx.hpp"

using namespace gram;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (int axes = 1; axes <= Shape::max_rank; ++axes) try {
      read_idx(InputFile("fuzz", bytes), axes);
    } catch (const FileError&) {
    }
  const std::size_t half = size / 2;  // as a pair of files
  try {
    check_dataset(
        read_idx_pair(InputFile("images", bytes.substr(0, half)), InputFile("labels", bytes.substr(half))));
  } catch (const FileError&) {
  }
  return 0;
}
