// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>

namespace gram {

/// Counters of a caching allocator, in bytes and calls since the program started.
struct MemoryStats {
  std::size_t in_use = 0;           ///< held by live tensors and scratch
  std::size_t cached = 0;           ///< kept for reuse
  std::size_t peak = 0;             ///< largest in_use so far (reset_peak_memory sets it back)
  std::size_t allocations = 0;      ///< requests served
  std::size_t system_requests = 0;  ///< of these, how many asked the system
};

}  // namespace gram
