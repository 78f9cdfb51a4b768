// SPDX-License-Identifier: MIT
#include "gram/cpu/fold_norm.hpp"

#include <vector>

#include "gram/core/random.hpp"
#include "support.hpp"

using namespace gram;

namespace {

template <class A>
std::vector<A> fold_numbers(Index n, std::uint64_t seed, double least = -2) {
  std::vector<A> all(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<A>(least + 2 * RandomKey{seed, 0}.uniform(static_cast<std::uint64_t>(i)) +
                            (least < 0 ? 1 : 0));
  return all;
}
template <class A>
double at(const std::vector<A>& values, Index i) {
  return static_cast<double>(values[static_cast<std::size_t>(i)]);
}

/// One fold of random numbers and its gradient.
template <class T>
struct Fold {
  using A = accum_t<T>;
  Fold(Index out_, Index in_, bool training_, bool affine) : out(out_), in(in_), training(training_) {
    if (!affine) gamma.clear(), beta.clear();
    arguments = {out,
                 in,
                 weight.data(),
                 affine ? gamma.data() : nullptr,
                 affine ? beta.data() : nullptr,
                 epsilon,
                 training ? x_mean.data() : nullptr,
                 training ? spread.data() : nullptr};
    statistics = {mean.data(), variance.data(), rstd.data(), scale.data()};
  }

  Index out, in, rows = 40;
  bool training;
  double epsilon = 1e-3;
  std::vector<A> weight = fold_numbers<A>(out * in, 1), gamma = fold_numbers<A>(out, 2, 0.5),
                 beta = fold_numbers<A>(out, 3), x_mean = fold_numbers<A>(in, 4), spread = spread_of(weight),
                 mean = fold_numbers<A>(out, 6), variance = fold_numbers<A>(out, 7, 0.5), rstd = mean,
                 scale = mean, products = fold_numbers<A>(out * in, 8), sums = fold_numbers<A>(out, 9);
  kernels::FoldNormArguments<A> arguments;
  kernels::FoldNormStatistics<A> statistics;

  /// V whose rows point as those of W do, so that variances are positive.
  static std::vector<A> spread_of(std::vector<A> w) {
    for (std::size_t i = 0; i < w.size(); ++i) w[i] *= static_cast<A>(1 + static_cast<double>(i % 3));
    return w;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a folded norm has the statistics of W S W^T, and moves by beta - s W m", T, float, double,
                   bf16) {
  using A = accum_t<T>;
  const double tolerance = std::is_same_v<A, double> ? 1e-14 : 1e-6,
               stored = std::is_same_v<T, bf16> ? 5e-3 : tolerance;
  for (const bool training : {true, false})
    for (const auto& [out, in] : {std::pair<Index, Index>{1, 1}, {5, 3}, {33, 70}, {700, 9}}) {
      Fold<T> f(out, in, training, out != 5);
      const std::vector<A> given_mean = f.mean, given_variance = f.variance;
      std::vector<T> scaled(f.weight.size()), shift(f.mean.size());
      kernels::fold_norm(Cpu{}, f.arguments, f.statistics, scaled.data(), shift.data());
      double worst = 0, worst_stored = 0;
      for (Index c = 0; c < out; ++c) {
        double mean = at(given_mean, c), variance = at(given_variance, c);
        if (training) {
          mean = variance = 0;
          for (Index k = 0; k < in; ++k) {
            mean += at(f.weight, c * in + k) * at(f.x_mean, k);
            variance += at(f.weight, c * in + k) * at(f.spread, c * in + k);
          }
        }
        const double rstd = 1 / std::sqrt(variance + f.epsilon),
                     scale = rstd * (f.gamma.empty() ? 1 : at(f.gamma, c));
        double moved = training ? 0 : mean * scale;
        for (Index k = 0; k < in; ++k) {
          const double w = static_cast<double>(static_cast<A>(scaled[static_cast<std::size_t>(c * in + k)]));
          worst_stored = std::max(worst_stored, std::abs(w - scale * at(f.weight, c * in + k)) / scale);
          if (training) moved += w * at(f.x_mean, k);
        }
        const double expected = (f.beta.empty() ? 0 : at(f.beta, c)) - moved;
        worst_stored = std::max(
            worst_stored,
            std::abs(static_cast<double>(static_cast<A>(shift[static_cast<std::size_t>(c)])) - expected) /
                (10 + std::abs(expected)));
        worst = std::max({worst, std::abs(at(f.mean, c) - mean), std::abs(at(f.variance, c) / variance - 1),
                          std::abs(at(f.rstd, c) / rstd - 1), std::abs(at(f.scale, c) / scale - 1)});
      }
      CHECK(worst < 10 * tolerance);
      CHECK(worst_stored < 2 * stored);
    }
}

TEST_CASE("variances that rounding made negative count as 0, NaN stays") {
  Fold<float> f(2, 4, true, false);
  for (std::size_t k = 0; k < 4; ++k) f.spread[k] = -f.weight[k];
  f.spread[4] = NAN;
  std::vector<float> scaled(8), shift(2);
  kernels::fold_norm(Cpu{}, f.arguments, f.statistics, scaled.data(), shift.data());
  CHECK(f.variance[0] == 0);
  CHECK(std::isnan(f.variance[1]));
  CHECK(std::isnan(f.rstd[1]));
}

TEST_CASE("gradients of a folded norm: with Q = P - sums m^T, r Q . W and s (Q - r dg V)") {
  for (const bool training : {true, false})
    for (const bool add : {false, true}) {
      Fold<double> f(7, 5, training, true);
      std::vector<double> scaled(35), shift(7), dw(35, 0.5), dg(7, 0.25), pull(35), push(7);
      kernels::fold_norm(Cpu{}, f.arguments, f.statistics, scaled.data(), shift.data());
      kernels::fold_norm_grad(Cpu{}, f.arguments, f.statistics,
                              kernels::FoldNormGradients<double>{f.rows,
                                                                 f.products.data(),
                                                                 f.sums.data(),
                                                                 {dw.data(), add},
                                                                 {dg.data(), add},
                                                                 pull.data(),
                                                                 push.data()});
      double worst = 0;
      for (Index c = 0; c < 7; ++c) {
        double slope = training ? 0 : -at(f.mean, c) * at(f.sums, c);
        const auto q = [&](Index k) {
          return at(f.products, c * 5 + k) - (training ? at(f.sums, c) * at(f.x_mean, k) : 0);
        };
        for (Index k = 0; k < 5; ++k) slope += q(k) * at(f.weight, c * 5 + k);
        slope *= at(f.rstd, c);
        const double d = -at(f.scale, c) * at(f.rstd, c) * slope / 40;
        worst = std::max({worst, std::abs(at(dg, c) - slope - (add ? 0.25 : 0)),
                          std::abs(at(push, c) + d * at(f.mean, c) + at(f.scale, c) * at(f.sums, c) / 40)});
        for (Index k = 0; k < 5; ++k) {
          const double v = training ? at(f.rstd, c) * slope * at(f.spread, c * 5 + k) : 0;
          worst =
              std::max({worst, std::abs(at(dw, c * 5 + k) - at(f.scale, c) * (q(k) - v) - (add ? 0.5 : 0)),
                        std::abs(at(pull, c * 5 + k) - d * at(f.weight, c * 5 + k))});
        }
      }
      CHECK(worst < 1e-12);
    }
}
