// SPDX-License-Identifier: MIT
#include "gram/cpu/sum_rows.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE_TEMPLATE("rows are summed in blocks, the same for any number of threads", T, float, double, bf16) {
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-14 : std::is_same_v<T, float> ? 2e-6 : 1e-2;
  test::for_each_isa([&] {
    for (const Index rows : {0, 1, 511, 1300})
      for (const Index columns : {1, 17, 700})
        for (const bool add : {false, true}) {
          const auto x = randn<T>({rows, columns}, 1), old = randn<T>({columns}, 2);
          const auto expected = generate<T>({columns}, [&](Index j) {
            double sum = add ? static_cast<double>(old.at({j})) : 0;
            for (Index i = 0; i < rows; ++i) sum += static_cast<double>(x.at({i, j}));
            return sum;
          });
          const auto summed = [&] {
            Tensor<T> y = old.clone();
            kernels::sum_rows(Cpu{}, rows, columns, x.data(), y.data(), add);
            return std::vector{y};
          };
          CHECK(test::same_for_any_threads(summed));
          CHECK(test::close(summed()[0], expected, tolerance));
        }
  });
}
