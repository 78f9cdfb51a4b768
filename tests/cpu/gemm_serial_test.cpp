// SPDX-License-Identifier: MIT
#include "gram/cpu/gemm_serial.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("gemm_outer adds slices to each other, and bias and residual once") {
  test::for_each_isa([] {
    for (const Index k : {1, 128, 129, 300})  // one slice, full and not, and several
      for (const GemmShape s : {GemmShape{5, 7, k}, GemmShape{13, 70, k}}) {
        const auto a = randn<double>({s.k, s.m}, 1), b = randn<double>({s.k, s.n}, 2),
                   bias = randn<double>({s.n}, 3), residual = randn<double>({s.m, s.n}, 4);
        Tensor<double> c({s.m, s.n});
        std::vector<double> scratch(static_cast<std::size_t>(cpu::gemm_outer_scratch<double>()));
        cpu::gemm_outer<double>(s, a.data(), s.m, cpu::operand<double>(b.data(), s.n, false), c.data(), s.n,
                                {.bias = bias.data(), .residual = residual.data(), .base = c.data()},
                                scratch.data());
        const auto expected = generate<double>({s.m, s.n}, [&](Index at) {
          double sum = bias.data()[at % s.n] + residual.data()[at];
          for (Index i = 0; i < s.k; ++i) sum += a.at({i, at / s.n}) * b.at({i, at % s.n});
          return sum;
        });
        CHECK(test::close(c, expected, 1e-13));
      }
  });
}

TEST_CASE("slices are of one length, and shorter where rows of A share few sets of the cache") {
  CHECK(cpu::gemm_slice_rows<float>(100, 96) == 100);
  CHECK(cpu::gemm_slice_rows<float>(392, 96) == 98);
  CHECK(cpu::gemm_slice_rows<float>(392, 128) == 56);
  CHECK(cpu::gemm_slice_rows<float>(392, 256) == 98);
  CHECK(cpu::gemm_slice_rows<double>(392, 64) == 56);
  CHECK(cpu::gemm_slice_rows<float>(0, 96) == 0);
}
