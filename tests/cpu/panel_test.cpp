// SPDX-License-Identifier: MIT
#include "gram/cpu/panel.hpp"

#include <vector>

#include "gram/cpu/cross_entropy.hpp"
#include "gram/cpu/decorrelation.hpp"
#include "gram/cpu/normalize.hpp"
#include "gram/cpu/pointwise_loss.hpp"
#include "gram/cpu/reduce.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("panels cover every element once, whatever the shape") {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{2, 70000, 1}, Shape{1, 700, 300},
                             Shape{2, 3, 40000}, Shape{0, 4, 5}, Shape{4, 0, 5}, Shape{4, 5, 0}})
    for (const Index rows : {1, 512, 8192}) {
      const AxisView v(shape, 1, 2);
      const cpu::PanelPlan plan(v, rows);
      std::vector<int> seen(static_cast<std::size_t>(shape.size()));
      for (Index number = 0; number < plan.panels(); ++number) {
        const cpu::Panel p = plan.panel(number);
        CHECK((p.rows <= plan.rows && p.columns <= plan.columns && p.row == p.segment * plan.rows));
        for (Index r = 0; r < p.rows; ++r)
          for (Index c = 0; c < p.columns; ++c)
            ++seen[static_cast<std::size_t>(plan.offset(p) + r * v.inner + c)];
      }
      CHECK(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
    }
}

TEST_CASE("an axis view reads runs of axes as one") {
  const AxisView v(Shape{2, 3, 4, 5}, 1, 3);
  CHECK((v.outer == 2 && v.n == 12 && v.inner == 5));
  const AxisView all(Shape{2, 3}, 0, 2);
  CHECK((all.outer == 1 && all.n == 6 && all.inner == 1));
}

TEST_CASE("kernels of every vector length agree near the ends of vectors") {
  const Isa before = isa();
  for (Index n = 1; n <= 40; ++n) {
    const auto x = randn<double>({3, n}, 1);
    double sum[3][3], top[3][3];
    Index at[3][3];
    Index sets = 0;
    for (const Isa set : {Isa::base, Isa::avx2, Isa::avx512}) {
      if (set > cpu::best_isa()) continue;
      set_isa(set);
      const AxisView v(x.shape(), 1, 2);
      kernels::reduce_sum(Cpu{}, x.data(), sum[sets], v, 1);
      kernels::reduce_max(Cpu{}, x.data(), top[sets], at[sets], v);
      ++sets;
    }
    for (Index s = 1; s < sets; ++s)
      for (Index row = 0; row < 3; ++row) {
        CHECK(std::abs(sum[s][row] - sum[0][row]) < 1e-13);
        CHECK(top[s][row] == top[0][row]);
        CHECK(at[s][row] == at[0][row]);
      }
  }
  set_isa(before);
}
