// SPDX-License-Identifier: MIT
#include "gram/train/build_info.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("a program says what it was built with and what it runs on") {
  const BuildInfo info = build_info();
  CHECK(info.version == "0.1.0");
  CHECK(info.compiler.find("++ ") != std::string::npos);
  CHECK(info.instruction_set == isa_name(isa()));
  CHECK(info.threads == threads());
  CHECK(info.cuda.empty() == (cuda::runtime == nullptr));
  CHECK(
      to_text(
          {.version = "1.2.3", .compiler = "g++ 12", .instruction_set = "avx2", .threads = 2, .cuda = ""}) ==
      "gram 1.2.3, g++ 12\ncpu: avx2, 2 threads\ncuda: not part of this program");
}
