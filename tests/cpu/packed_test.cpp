// SPDX-License-Identifier: MIT
#include "gram/cpu/packed.hpp"

#include <vector>

#include "support.hpp"

namespace gram {
namespace {

TEST_CASE("a packed operand multiplies as the plain one, also transposed and on top of a result") {
  for (const GemmShape s :
       {GemmShape{1, 1, 1}, GemmShape{7, 65, 3}, GemmShape{13, 30, 17}, GemmShape{2, 5, 0}})
    for (const bool transposed : {false, true}) {
      const auto a = randn<double>({s.m, s.k}, 1), b = randn<double>({s.k, s.n}, 2),
                 before = randn<double>({s.m, s.n}, 3);
      const Index ld = transposed ? s.k : s.n;
      const auto stored = generate<double>(
          {s.k * s.n}, [&](Index i) { return transposed ? b.data()[i % s.k * s.n + i / s.k] : b.data()[i]; });
      std::vector<double> panels(static_cast<std::size_t>(cpu::tile_table<double>().packed_size(s.k, s.n)));
      cpu::pack(s.k, s.n, cpu::operand(stored.data(), ld, transposed), panels.data());
      const auto c = before.clone();
      cpu::multiply_packed(s, a.data(), s.k, panels.data(), c.data(), s.n, {.add = true});
      const auto expected = generate<double>({s.m, s.n}, [&](Index i) {
        double sum = before.data()[i];
        for (Index k = 0; k < s.k; ++k) sum += a.data()[i / s.n * s.k + k] * b.data()[k * s.n + i % s.n];
        return sum;
      });
      CHECK(test::close(c, expected, 1e-14));
    }
}

TEST_CASE("a loop visits every item once, small ones several to a task") {
  for (const Index count : {0, 1, 5, 1000})
    for (const Index work : {Index{0}, Index{1} << 10, Index{1} << 40}) {
      const cpu::ItemLoop loop(count, work);
      CHECK(loop.each >= 1);
      CHECK((work <= 1 << 10 ? loop.each > 1 || count <= 1 : loop.each == 1));
      std::vector<int> visits(static_cast<std::size_t>(count));
      const int workers = loop.workers();
      loop.run(
          [&](Index i, int worker) { visits[static_cast<std::size_t>(i)] += worker < workers ? 1 : 100; });
      for (const int v : visits) CHECK(v == 1);
    }
}

TEST_CASE("parts of a layout are aligned and do not overlap") {
  cpu::Layout at;
  CHECK(at.take(3) == 0);
  CHECK(at.take(17) == 16);
  CHECK(at.take(0) == 48);
  CHECK(at.size == 48);
}

}  // namespace
}  // namespace gram
