// SPDX-License-Identifier: MIT
// clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/plans_fuzz.cpp
#include "gram/cuda/plan_file.hpp"

using namespace gram;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string& file : {bytes, std::string(cuda::plan_file_head) + bytes}) try {
      const cuda::PlanChoices choices = cuda::read_plans(file, "fuzz");
      if (cuda::read_plans(cuda::to_text(choices), "fuzz") != choices)
        std::abort();  // what is read can be written
    } catch (const FileError&) {
    }
  return 0;
}
