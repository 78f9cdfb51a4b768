// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include "gram/core/device.hpp"
#include "gram/core/parallel.hpp"
#include "gram/core/version.hpp"
#include "gram/cpu/simd.hpp"

namespace gram {

/// What a program was built with and runs on.
struct BuildInfo {
  std::string version;          ///< of the library
  std::string compiler;         ///< "g++ 12.2.0"
  std::string instruction_set;  ///< that kernels of the CPU run with: avx512, avx2 or base
  int threads;
  std::string cuda;  ///< device, CUDA, driver; "" in a program without the CUDA backend
};

inline BuildInfo build_info() {
#if defined(__clang__)
  const char* const compiler = "clang++ " __clang_version__;
#else
  const char* const compiler = "g++ " __VERSION__;
#endif
  return {GRAM_VERSION, compiler, isa_name(isa()), threads(),
          cuda::runtime ? cuda::runtime->description(0) : ""};
}

inline std::string to_text(const BuildInfo& info) {
  return text("gram ", info.version, ", ", info.compiler, "\ncpu: ", info.instruction_set, ", ", info.threads,
              info.threads == 1 ? " thread" : " threads",
              "\ncuda: ", info.cuda.empty() ? "not part of this program" : info.cuda);
}

}  // namespace gram
