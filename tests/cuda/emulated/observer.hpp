// SPDX-License-Identifier: MIT
// Who wants to know what the stand-in device is asked to do: bench/cuda_traffic counts it. Nobody, in tests.
#pragma once
#include "fibers.hpp"

namespace emulated {

/// Work of one call: bytes that have to be read and written at least, operations of products.
struct LibraryWork {
  const char* name;
  double bytes, operations;
};

struct Observer {
  virtual ~Observer() = default;
  /// Whether a kernel that is about to be started shall run.
  virtual bool begin(const void* kernel, dim3 blocks, dim3 threads) = 0;
  virtual void end() = 0;
  /// Work of a library, which then is left out.
  virtual void library(const LibraryWork& work) = 0;
};
inline Observer* observer = nullptr;

}  // namespace emulated
