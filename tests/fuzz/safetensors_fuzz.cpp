// SPDX-License-Identifier: MIT
// clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/safetensors_fuzz.cpp
//
// No bytes may make the reader do anything but return or throw gram::Error. What it accepts must be JSON to
// another parser too, with the same tensors, and its values must convert.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "gram/io/safetensors.hpp"

using namespace gram;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const bool allow_trailing : {false, true}) try {
      const auto file = SafeTensors::parse("fuzz", bytes, {.allow_trailing = allow_trailing});
      std::uint64_t length = 0;
      std::memcpy(&length, data, 8);
      const auto header =
          nlohmann::json::parse(bytes.substr(8, length));  // throws what is not caught: a finding
      if (header.size() != file.names().size() + header.contains("__metadata__")) std::abort();
      for (const auto& name : file.names()) {
        if (header.at(name).at("dtype") != file.dtype(name)) std::abort();
        const auto read = [&](auto zero) {
          try {
            file.tensor<decltype(zero)>(name);
          } catch (const Error&) {
          }
        };
        read(0.0F), read(0.0), read(bf16(0.0F)), read(std::int32_t{}), read(std::int64_t{}),
            read(std::uint8_t{});
      }
    } catch (const Error&) {
    }
  return 0;
}
