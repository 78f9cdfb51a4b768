// SPDX-License-Identifier: MIT
// Learning rates as functions of the step, which counts from 0: optimizer.set_lr(schedule(step)).
#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>

#include "gram/core/shape.hpp"

namespace gram {
namespace detail {

/// From `from` at 0 to `to` at 1 along half a cosine.
inline double cosine_between(double from, double to, double fraction) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * fraction));
}

}  // namespace detail

/// Linear from warmup_lr to base_lr over the first warmup_steps, then along half a cosine to final_lr at
/// total_steps, where it stays (arXiv:1608.03983, without restarts).
struct CosineSchedule {
  double base_lr;
  Index total_steps;
  Index warmup_steps = 0;
  double warmup_lr = 0;
  double final_lr = 0;

  double operator()(Index step) const {
    if (step < warmup_steps)
      return warmup_lr +
             (base_lr - warmup_lr) * static_cast<double>(step) / static_cast<double>(warmup_steps);
    if (step >= total_steps) return final_lr;
    const double fraction =
        static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
    return detail::cosine_between(base_lr, final_lr, fraction);
  }
};

/// The one-cycle policy (arXiv:1708.07120) as torch.optim.lr_scheduler.OneCycleLR anneals with cosines: from
/// max_lr / div_factor up to max_lr at step pct_start total_steps - 1, then down to the first rate /
/// final_div_factor at the last step.
struct OneCycleSchedule {
  double max_lr;
  Index total_steps;
  double pct_start = 0.3;
  double div_factor = 25;
  double final_div_factor = 1e4;

  double operator()(Index step) const {
    const double first = max_lr / div_factor, top = pct_start * static_cast<double>(total_steps) - 1;
    const double last = static_cast<double>(total_steps - 1), now = std::min(static_cast<double>(step), last);
    if (now <= top && top > 0) return detail::cosine_between(first, max_lr, now / top);
    if (last <= top) return max_lr;
    return detail::cosine_between(max_lr, first / final_div_factor, (now - top) / (last - top));
  }
};

}  // namespace gram
