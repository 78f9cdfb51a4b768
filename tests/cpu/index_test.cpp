// SPDX-License-Identifier: MIT
#include "gram/cpu/index.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;

TEST_CASE("first_outside finds the first index that is no position") {
  const std::vector<Index> index{0, 2, 3, -1};
  CHECK(kernels::first_outside(Cpu{}, index.data(), 4, 3) == 2);
  CHECK(kernels::first_outside(Cpu{}, index.data(), 4, 4) == 3);
  CHECK(kernels::first_outside(Cpu{}, index.data(), 3, 4) == -1);
}

TEST_CASE("gather reads shared rows and rows of every element, and its gradient adds equal indices") {
  const std::vector<double> x{1, 2, 3, 4, 5, 6};  // (1, 3, 2)
  const AxisView view(Shape{1, 3, 2}, 1, 2);
  const std::vector<Index> shared{2, 0, 2}, each{2, 0, 1, 1};
  const IndexView rows{shared.data(), 3, 0, 1, 0}, elements{each.data(), 2, 0, 2, 1};
  std::vector<double> y(6), z(4);
  kernels::gather(Cpu{}, x.data(), rows, y.data(), view);
  CHECK(y == std::vector<double>{5, 6, 1, 2, 5, 6});
  kernels::gather(Cpu{}, x.data(), elements, z.data(), view);
  CHECK(z == std::vector<double>{5, 2, 3, 4});

  std::vector<double> dx(6, 10);
  kernels::gather_grad(Cpu{}, y.data(), rows, dx.data(), true, view);
  CHECK(dx == std::vector<double>{11, 12, 10, 10, 20, 22});
  kernels::gather_grad(Cpu{}, z.data(), elements, dx.data(), false, view);
  CHECK(dx == std::vector<double>{0, 2, 3, 4, 5, 0});
}
