// SPDX-License-Identifier: MIT
#include "gram/core/thread_team.hpp"

#include <array>
#include <vector>

#include "support.hpp"

using gram::detail::ThreadTeam;

TEST_CASE("every worker runs once, worker 0 in the calling thread, and results are seen afterwards") {
  ThreadTeam& team = ThreadTeam::instance();
  for (const int count : {1, 2, 5, 3})
    for (int round = 0; round < 50; ++round) {
      std::vector<int> runs(static_cast<std::size_t>(count));  // not atomic: run() orders the accesses
      std::thread::id first;
      const auto work = [&](int worker) {
        ++runs[static_cast<std::size_t>(worker)];
        if (worker == 0) first = std::this_thread::get_id();
      };
      REQUIRE(team.run(count, work));
      CHECK(runs == std::vector<int>(static_cast<std::size_t>(count), 1));
      CHECK(first == std::this_thread::get_id());
    }
}

TEST_CASE("a team that works for another thread refuses, and does nothing") {
  ThreadTeam& team = ThreadTeam::instance();
  std::atomic<bool> taken = false;
  const auto work = [&](int worker) {
    if (worker != 0) return;
    std::thread([&] { taken = team.run(2, [&](int) { taken = true; }); }).join();
  };
  REQUIRE(team.run(2, work));
  CHECK_FALSE(taken);
}

TEST_CASE("wait_until sleeps only while its condition does not hold") {
  int asked = 0, slept = 0;
  gram::detail::wait_until([&] { return ++asked > 3; }, [&] { ++slept; });
  CHECK(asked == 4);
  CHECK(slept == 0);
  gram::detail::wait_until([&] { return slept == 2; }, [&] { ++slept; });
  CHECK(slept == 2);
}
