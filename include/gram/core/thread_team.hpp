// SPDX-License-Identifier: MIT
// The threads behind parallel loops. A loop over a small tensor takes some 20 microseconds, as long as the
// kernel needs to wake a sleeping thread; so whoever waits here first watches the memory word that will
// change, then lets others have the processor in between, and sleeps only after about a millisecond. OpenMP's
// run time knows only the two extremes, and they are chosen by the environment of the process.
#pragma once
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gram::detail {

/// Returns when done() holds; sleep() blocks until it may.
template <class Done, class Sleep>
void wait_until(Done&& done, Sleep&& sleep) {
  constexpr int watches = 2000, yields = 1000;
  for (int i = 0; i < watches + yields; ++i) {
    if (done()) return;
    if (i >= watches) {
      std::this_thread::yield();
      continue;
    }
#if defined(__x86_64__)
    _mm_pause();
#endif
  }
  while (!done()) sleep();
}

/// Helpers that run one function at a time together with the thread that asks for it. They live as long as
/// the process.
class ThreadTeam {
 public:
  /// Never destroyed: loops may run while static objects are.
  static ThreadTeam& instance() {
    static ThreadTeam* const team = new ThreadTeam;
    return *team;
  }

  /// f(worker) once for each worker in [0, count), all at the same time; worker 0 is the caller. False, and
  /// nothing is done, when the helpers work for another thread.
  template <class F>
  bool run(int count, const F& f) {
    const std::unique_lock owner(busy_, std::try_to_lock);
    if (!owner) return false;
    while (static_cast<int>(helpers_.size()) < count - 1)
      helpers_.emplace_back(*this, static_cast<int>(helpers_.size()) + 1);
    function_ = [](const void* context, int worker) { (*static_cast<const F*>(context))(worker); };
    context_ = &f;
    running_.store(count - 1, std::memory_order_relaxed);
    for (int i = 0; i < count - 1; ++i) helpers_[static_cast<std::size_t>(i)].start();
    f(0);
    wait_until([&] { return running_.load(std::memory_order_acquire) == 0; },
               [&] {
                 if (const int left = running_.load(std::memory_order_acquire)) running_.wait(left);
               });
    return true;
  }

 private:
  class Helper {
   public:
    Helper(ThreadTeam& team, int worker) {
      std::thread([this, &team, worker] { serve(team, worker); }).detach();
    }
    void start() {
      task_.store(1, std::memory_order_release);
      task_.notify_one();
    }

   private:
    [[noreturn]] void serve(ThreadTeam& team, int worker) {
      for (;;) {
        wait_until([&] { return task_.load(std::memory_order_acquire) == 1; }, [&] { task_.wait(0); });
        task_.store(0, std::memory_order_relaxed);
        team.function_(team.context_, worker);
        if (team.running_.fetch_sub(1, std::memory_order_acq_rel) == 1) team.running_.notify_one();
      }
    }
    alignas(64) std::atomic<int> task_ = 0;  // of its own cache line: it is watched
  };

  std::mutex busy_;
  std::deque<Helper> helpers_;  // helpers do not move
  void (*function_)(const void*, int) = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<int> running_ = 0;
};

}  // namespace gram::detail
