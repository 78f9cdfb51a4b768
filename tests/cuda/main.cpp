// SPDX-License-Identifier: MIT
// Tests that need a GPU: without one the program says so and ends with the code that ctest takes for skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "gram/core/device.hpp"

int main(int argc, char** argv) {
  if (gram::cuda::runtime->devices() == 0) {
    std::printf("no CUDA device answers (%s): the tests are skipped\n",
                gram::cuda::runtime->description(0).c_str());
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
