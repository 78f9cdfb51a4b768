// SPDX-License-Identifier: MIT
#include "gram/core/random.hpp"

#include <set>

#include "support.hpp"

using namespace gram;

TEST_CASE("philox gives the known answers of its authors") {
  // Random123's kat_vectors, lines "philox4x32 10"
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers have the moments of the uniform distribution") {
  const RandomKey key{1, 2};
  constexpr int n = 200000;
  double mean = 0, square = 0, low = 1, high = 0, product = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = key.uniform(i);
    mean += u / n, square += u * u / n, low = std::min(low, u), high = std::max(high, u);
    product += u * key.uniform(i + 1) / n;
  }
  CHECK(std::abs(mean - 0.5) < 0.003);
  CHECK(std::abs(square - 1.0 / 3) < 0.003);
  CHECK(std::abs(product - 0.25) < 0.003);
  CHECK(low >= 0);
  CHECK(high < 1);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  const RandomKey key{3, 4};
  constexpr int n = 200000;
  double moments[5] = {};
  for (std::uint64_t i = 0; i < n; ++i) {
    const double z = key.normal(i);
    double power = 1;
    for (double& m : moments) m += power / n, power *= z;
  }
  CHECK(std::abs(moments[1]) < 0.01);
  CHECK(std::abs(moments[2] - 1) < 0.02);
  CHECK(std::abs(moments[3]) < 0.04);
  CHECK(std::abs(moments[4] - 3) < 0.1);
}

TEST_CASE("a source gives the same numbers again from the same state") {
  Rng a(7), b(7);
  CHECK(a.uniform() == b.uniform());
  CHECK(a.normal() == b.normal());
  Rng copy = a;
  const double next = a.uniform();
  CHECK(copy.uniform() == next);
  Rng restored;
  restored.restore(7, 2);
  CHECK(restored.uniform() == next);
  CHECK(a.seed() == 7);
  CHECK(a.position() == 3);
}

TEST_CASE("forks depend on the seed and their number only, and do not repeat") {
  Rng a(7);
  const Rng early = a.fork(3);
  a.uniform();
  CHECK(Rng(early).uniform() == Rng(a.fork(3)).uniform());
  std::set<std::uint64_t> seeds{a.seed()};
  for (std::uint64_t i = 0; i < 1000; ++i) seeds.insert(a.fork(i).seed());
  for (int i = 0; i < 10; ++i) seeds.insert(a.fork(1).fork(static_cast<std::uint64_t>(i)).seed());
  CHECK(seeds.size() == 1011);
  CHECK(a.split().seed() != a.split().seed());
}

TEST_CASE("below and uniform(low, high) stay in their range and reach all of it") {
  Rng rng(1);
  std::set<Index> seen;
  bool inside = true;
  for (int i = 0; i < 1000; ++i) {
    const Index k = rng.below(7);
    inside = inside && k >= 0 && k < 7;
    seen.insert(k);
    const double u = rng.uniform(-2, 3);
    inside = inside && u >= -2 && u < 3;
  }
  CHECK(inside);
  CHECK(seen.size() == 7);
  CHECK(rng.below(1) == 0);
  CHECK(test::error_of([&] { rng.below(0); }) == "Rng::below: no number below 0");
}
