// SPDX-License-Identifier: MIT
#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>

namespace gram::cuda {

/// Where a library refuses a piece of work kernels of gram do it, and nobody notices but by the time it
/// takes. With the environment variable GRAM_CUDA_VERBOSE a line on standard error tells.
inline void note_refusal(const char* library, const std::string& problem, const std::string& reason) {
  static const bool wanted = std::getenv("GRAM_CUDA_VERBOSE") != nullptr;
  if (wanted) std::fprintf(stderr, "%s refuses %s: %s\n", library, problem.c_str(), reason.c_str());
}

}  // namespace gram::cuda
