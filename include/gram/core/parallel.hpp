// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "gram/core/shape.hpp"
#include "gram/core/thread_team.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace gram {
namespace detail {

inline int& thread_setting() {
  static int count = [] {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#endif
  }();
  return count;
}

inline thread_local bool inside_parallel = false;

/// A loop's body, whatever its type: code that depends on that type would be compiled for every loop.
struct LoopBody {
  const void* f;
  void (*call)(const void* f, Index block, int worker);

  void operator()(Index block, int worker) const { call(f, block, worker); }
};

}  // namespace detail

/// Threads that parallel loops use; at first OMP_NUM_THREADS or the number of processors.
inline int threads() { return detail::thread_setting(); }

/// Sets the number of threads. Results do not depend on it. Not while another thread computes.
inline void set_threads(int count) {
  require<ArgumentError>(count >= 1, "set_threads: ", count, " threads; at least one is needed");
  detail::thread_setting() = count;
}

/// How many slices of scratch a loop of `blocks` blocks needs: the worker numbers it passes are below this.
inline int workers(Index blocks) {
  return detail::inside_parallel ? 1 : static_cast<int>(std::clamp<Index>(blocks, 1, threads()));
}

namespace detail {

inline void run_blocks(Index blocks, LoopBody body) {
  const int count = workers(blocks);
  if (count == 1) {
    for (Index b = 0; b < blocks; ++b) body(b, 0);
    return;
  }
  std::atomic<Index> next = 0;
  std::atomic<bool> failed = false;
  std::exception_ptr error;  // the first; a helper's must not leave its thread
  const auto work = [&](int worker) {
    inside_parallel = true;
    try {
      for (Index b; (b = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) body(b, worker);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
      next.store(blocks, std::memory_order_relaxed);
    }
    inside_parallel = false;
  };
  if (!ThreadTeam::instance().run(count, work)) work(0);
  if (error) std::rethrow_exception(error);
}

}  // namespace detail

/// f(block, worker) for every block in [0, blocks), in any order; worker numbers the thread. A nested loop,
/// and one that starts while another thread has the helpers, runs in its caller's thread. Each block must
/// write what no other block writes; then the result is the same for any number of threads. What f throws
/// ends the loop, with some blocks left out, and is thrown to the caller.
template <class F>
void parallel_blocks(Index blocks, const F& f) {
  detail::run_blocks(blocks, {&f, [](const void* body, Index block, int worker) {
                                (*static_cast<const F*>(body))(block, worker);
                              }});
}

/// f(begin, end) over pieces of [0, n) that are `grain` long (the last one shorter).
template <class F>
void parallel_for(Index n, Index grain, const F& f) {
  const Index blocks = ceil_div(n, grain);
  parallel_blocks(blocks, [&](Index b, int) { f(b * grain, std::min(n, (b + 1) * grain)); });
}

}  // namespace gram
