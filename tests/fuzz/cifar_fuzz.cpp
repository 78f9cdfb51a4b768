// SPDX-License-Identifier: MIT
// clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/cifar_fuzz.cpp
// Run with -max_len=10000: records have 3073 and 3074 bytes.
#include "gram/data/cifar.hpp"

using namespace gram;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const CifarFormat& format : {cifar10, cifar100}) try {
      check_dataset(read_cifar({InputFile("fuzz", bytes)}, format));
    } catch (const FileError&) {
    }
  return 0;
}
