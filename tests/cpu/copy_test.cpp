// SPDX-License-Identifier: MIT
#include "gram/cpu/copy.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

constexpr Index sizes[] = {0, 1, 15, 16, 17, 63, 1000, kernels::grain, 2 * kernels::grain + 5};

}  // namespace

TEST_CASE_TEMPLATE("sums are added in the wide type and rounded once, on every instruction set", T, float,
                   double, bf16) {
  test::for_each_isa([] {
    for (const Index n : sizes) {
      const auto x = randn<T>({n + 1}, 1), before = randn<T>({n + 1}, 2);
      const auto y = before.clone();
      kernels::accumulate(Cpu{}, x.data(), y.data(), n);
      bool right = true;
      for (Index i = 0; i < n; ++i)
        right = right && y.data()[i] == static_cast<T>(static_cast<accum_t<T>>(before.data()[i]) +
                                                       static_cast<accum_t<T>>(x.data()[i]));
      CHECK(right);
      CHECK(y.data()[n] == before.data()[n]);  // and nothing beyond the end
    }
  });
}

TEST_CASE("fill, copy and convert touch their n elements and no other") {
  for (const Index n : sizes) {
    const auto x = randn<double>({n + 1}, 1);
    const auto filled = zeros<std::int32_t>({n + 1});
    const auto copied = zeros<double>({n + 1});
    const auto narrow = zeros<bf16>({n + 1});
    kernels::fill(Cpu{}, filled.data(), 7, n);
    kernels::copy(Cpu{}, x.data(), copied.data(), n);
    kernels::convert(Cpu{}, x.data(), narrow.data(), n);
    bool right = true;
    for (Index i = 0; i < n; ++i)
      right = right && filled.data()[i] == 7 && copied.data()[i] == x.data()[i] &&
              narrow.data()[i] == static_cast<bf16>(x.data()[i]);
    CHECK(right);
    CHECK(filled.data()[n] == 0);
    CHECK(copied.data()[n] == 0);
    CHECK(narrow.data()[n] == bf16(0.0F));
  }
}
