// SPDX-License-Identifier: MIT
#include "gram/optim/schedule.hpp"

#include "support.hpp"

using namespace gram;

namespace {

template <class Schedule>
Tensor<double> rates(const Schedule& schedule, Index steps) {
  return generate<double>({steps}, [&](Index step) { return schedule(step); });
}

}  // namespace

TEST_CASE("OneCycleSchedule gives PyTorch's learning rates") {
  // python3 tests/optim/reference.py
  const OneCycleSchedule schedule{
      .max_lr = 0.4, .total_steps = 10, .pct_start = 0.35, .div_factor = 10, .final_div_factor = 100};
  CHECK(test::close(
      rates(schedule, 9),
      {0.03999999999999998, 0.16437694101250946, 0.36562305898749053, 0.3941941751217252, 0.349752447484586,
       0.27105005643109864, 0.17611677128498648, 0.0867006636031151, 0.023285886074488685},
      1e-14));
  CHECK(schedule(9) == doctest::Approx(0.4 / 10 / 100));
  CHECK(schedule(100) == schedule(9));
}

TEST_CASE("OneCycleSchedule has a rate for the shortest trainings") {
  CHECK(25e4 * OneCycleSchedule{.max_lr = 1, .total_steps = 1}(0) == doctest::Approx(1));
  CHECK(OneCycleSchedule{.max_lr = 1, .total_steps = 4, .pct_start = 0.25}(0) == 1);
  CHECK(OneCycleSchedule{.max_lr = 1, .total_steps = 4, .pct_start = 1}(3) == 1);
}

TEST_CASE("CosineSchedule gives PyTorch's learning rates") {
  // python3 tests/optim/reference.py
  const CosineSchedule schedule{.base_lr = 0.5, .total_steps = 8, .final_lr = 0.1};
  CHECK(test::close(rates(schedule, 9),
                    {0.5, 0.4847759065022573, 0.4414213562373095, 0.37653668647301797, 0.30000000000000004,
                     0.22346331352698207, 0.1585786437626905, 0.11522409349774265, 0.1},
                    1e-14));
}

TEST_CASE("CosineSchedule warms up linearly and stays at its end") {
  const CosineSchedule schedule{.base_lr = 1, .total_steps = 6, .warmup_steps = 2, .warmup_lr = 0.5};
  CHECK(test::close(rates(schedule, 8),
                    {0.5, 0.75, 1.0, 0.85355339059327373, 0.5, 0.14644660940672624, 0.0, 0.0}, 1e-15));
}
