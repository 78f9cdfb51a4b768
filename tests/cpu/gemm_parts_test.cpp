// SPDX-License-Identifier: MIT
#include "gram/cpu/gemm_parts.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("parts of the sum and blocks of the result are computed once each, and finished once") {
  for (const GemmShape s : {GemmShape{3, 5, 7}, GemmShape{64, 64, 5000}, GemmShape{500, 900, 300},
                            GemmShape{20, 40, 4097}, GemmShape{4, 3, 0}}) {
    CAPTURE(s.m);
    CAPTURE(s.k);
    const cpu::PartsPlan plan(s, sizeof(double), 16);
    CHECK(plan.parts * plan.depth >= s.k);
    const auto bias = randn<double>({s.n}, 1), before = randn<double>({s.m, s.n}, 2);
    const auto run = [&] {
      const Tensor<double> c = before.clone();
      const cpu::TileEpilogue<double> epilogue{.bias = bias.data(), .add = true, .relu = true};
      cpu::gemm_in_parts<double>(
          plan, c.data(), s.n, epilogue,
          [&](const GemmShape& piece, Index k, Index i, Index j, double* to, Index ld,
              const cpu::TileEpilogue<double>& now, int) {
            for (Index row = 0; row < piece.m; ++row) {
              std::vector<double> sums(static_cast<std::size_t>(piece.n));
              for (Index column = 0; column < piece.n; ++column)
                for (Index x = k; x < k + piece.k; ++x)
                  sums[static_cast<std::size_t>(column)] +=
                      1 + static_cast<double>((x + 1) % 5 * (j + column - 3)) + static_cast<double>(i + row);
              cpu::tile_table<double>().reduce(1, sums.data(), 0, to + row * ld, piece.n, now);
            }
          });
      return std::vector{c};
    };
    const auto expected = generate<double>({s.m, s.n}, [&](Index at) {
      const Index i = at / s.n, j = at % s.n;
      double sum = bias.data()[j] + before.data()[at];
      for (Index x = 0; x < s.k; ++x)
        sum += 1 + static_cast<double>((x + 1) % 5 * (j - 3)) + static_cast<double>(i);
      return std::max(sum, 0.0);
    });
    CHECK(test::close(run()[0], expected, 1e-12));
    CHECK(test::same_for_any_threads(run));
  }
}
