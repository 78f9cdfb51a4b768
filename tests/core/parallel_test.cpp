// SPDX-License-Identifier: MIT
#include "gram/core/parallel.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace gram;

namespace {

template <class F>
void for_thread_counts(F&& f) {
  const int before = threads();
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    CAPTURE(count);
    f();
  }
  set_threads(before);
}

}  // namespace

TEST_CASE("parallel_blocks runs every block once, with worker numbers below workers()") {
  for_thread_counts([] {
    for (const Index blocks : {0, 1, 2, 3, 100, 1001}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(blocks));
      std::atomic<bool> workers_fit = true;
      parallel_blocks(blocks, [&](Index b, int worker) {
        ++runs[static_cast<std::size_t>(b)];
        if (worker < 0 || worker >= threads() || worker >= std::max<Index>(blocks, 1)) workers_fit = false;
      });
      bool once = true;
      for (const auto& r : runs) once = once && r == 1;
      CHECK(once);
      CHECK(workers_fit);
    }
  });
}

TEST_CASE("what a block throws is thrown to the caller of the loop, and the next loop is whole") {
  for_thread_counts([] {
    for (const Index bad : {0, 7, 999})
      CHECK(test::error_of([&] {
              parallel_blocks(1000, [&](Index b, int) {
                if (b == bad) throw Error("block of the test");
              });
            }) == "block of the test");
    CHECK(test::error_of([] { parallel_blocks(1000, [](Index, int) { throw Error("all of them"); }); }) ==
          "all of them");
    std::atomic<Index> runs = 0;
    parallel_for(1000, 3, [&](Index begin, Index end) { runs += end - begin; });
    CHECK(runs == 1000);
    CHECK(workers(1000) == threads());  // nobody believes to be inside of a loop
  });
}

TEST_CASE("two blocks that run at one time have different workers") {
  for_thread_counts([] {
    std::vector<std::atomic<int>> busy(static_cast<std::size_t>(workers(1000)));
    std::atomic<bool> collision = false;
    parallel_blocks(1000, [&](Index, int worker) {
      if (++busy[static_cast<std::size_t>(worker)] != 1) collision = true;
      --busy[static_cast<std::size_t>(worker)];
    });
    CHECK(!collision);
  });
}

TEST_CASE("a nested loop runs in its caller's thread") {
  for_thread_counts([] {
    std::atomic<Index> inner = 0;
    std::atomic<bool> alone = true;
    parallel_blocks(7, [&](Index, int) {
      const auto thread = std::this_thread::get_id();
      if (threads() > 1 && workers(100) != 1) alone = false;
      parallel_blocks(5, [&](Index, int worker) {
        ++inner;
        if (worker != 0 || std::this_thread::get_id() != thread) alone = false;
      });
    });
    CHECK(inner == 35);
    if (threads() > 1) CHECK(alone);
  });
}

TEST_CASE("parallel_for cuts into pieces of the grain, whatever the number of threads") {
  for_thread_counts([] {
    std::vector<std::atomic<int>> runs(103);
    std::atomic<bool> cut = true;
    parallel_for(103, 10, [&](Index begin, Index end) {
      if (begin % 10 != 0 || end != std::min<Index>(begin + 10, 103)) cut = false;
      for (Index i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
    });
    CHECK(cut);
    for (const auto& r : runs) CHECK(r == 1);
    parallel_for(0, 10, [&](Index, Index) { cut = false; });
    CHECK(cut);
  });
}

TEST_CASE("the number of threads is at least one") {
  CHECK(threads() >= 1);
  CHECK(test::error_of([] { set_threads(0); }) == "set_threads: 0 threads; at least one is needed");
}

TEST_CASE("threads that start loops at one time do not disturb each other") {
  const int before = threads();
  set_threads(3);
  std::atomic<Index> sum = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) parallel_blocks(5, [&](Index b, int) { sum += b; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 4 * 200 * 10);
  set_threads(before);
}

TEST_CASE("helpers that went to sleep wake up again") {
  const int before = threads();
  set_threads(2);
  for (const int milliseconds : {0, 1, 20}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    std::atomic<int> together = 0;  // each block waits for the other: only two threads can finish
    parallel_blocks(2, [&](Index, int) {
      ++together;
      while (together < 2) std::this_thread::yield();
    });
    CHECK(together == 2);
  }
  set_threads(before);
}
