// SPDX-License-Identifier: MIT
// Batch norm with the statistics of several processes.
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/batch_norm.hpp"
#include "ranks.hpp"
#include "support.hpp"

using namespace gram;

namespace {

template <Scalar T>
struct SharedNorm {
  Tensor<T> x, residual, y;
  Tensor<accum_t<T>> weight, bias, mean, variance;

  /// Forward and backward on rows [begin, end) of what `rows` rows hold together.
  SharedNorm(Index rows, Index begin, Index end, bool relu, bool with_residual, Communicator* communicator) {
    const auto piece = [&](std::uint64_t seed) {
      const Tensor<T> all = generate<T>({rows, 3, 5}, [&](Index i) {
        return 3.0 * static_cast<double>(i % 5) +
               static_cast<double>(1 + i % 7) * RandomKey{seed, 0}.normal(static_cast<std::uint64_t>(i));
      });
      return all.alias_rows(begin, end).clone().set_requires_grad();
    };
    x = piece(1);
    if (with_residual) residual = piece(2);
    weight = rand<accum_t<T>>({5}, 0.5, 1.5, 3).set_requires_grad();
    bias = randn<accum_t<T>>({5}, 4).set_requires_grad();
    mean = zeros<accum_t<T>>({5}), variance = ones<accum_t<T>>({5});
    y = batch_norm(x, weight, bias, mean, variance, {.relu = relu, .communicator = communicator}, residual);
    backward(y, randn<T>({rows, 3, 5}, 5).alias_rows(begin, end).clone());
  }
};

}  // namespace

TEST_CASE_TEMPLATE("parts of unequal size, on several ranks, are normalised as one batch", T, float, double) {
  const double tolerance = std::same_as<T, float> ? 2e-6 : 1e-13;
  constexpr Index rows = 9, bounds[] = {0, 4, 4, 5, 9};  // the second rank has none
  for (const bool relu : {false, true})
    for (const bool residual : {false, true}) {
      const SharedNorm<T> whole(rows, 0, rows, relu, residual, nullptr);
      std::vector<std::unique_ptr<SharedNorm<T>>> parts(4);
      test::on_ranks(4, [&](Communicator& communicator) {
        const auto r = static_cast<std::size_t>(communicator.rank());
        parts[r] =
            std::make_unique<SharedNorm<T>>(rows, bounds[r], bounds[r + 1], relu, residual, &communicator);
      });
      Tensor<accum_t<T>> dweight = zeros<accum_t<T>>({5}), dbias = dweight.clone();
      for (std::size_t r = 0; r < 4; ++r) {
        const SharedNorm<T>& part = *parts[r];
        const auto same = [&](const Tensor<T>& mine, const Tensor<T>& all) {
          return test::close(mine, all.alias_rows(bounds[r], bounds[r + 1]), tolerance);
        };
        CHECK(same(part.y, whole.y.detach()));
        CHECK(same(part.x.grad(), whole.x.grad()));
        if (residual) CHECK(same(part.residual.grad(), whole.residual.grad()));
        CHECK(test::close(part.mean, whole.mean, tolerance));
        CHECK(test::close(part.variance, whole.variance, tolerance));
        CHECK(test::identical(part.mean, parts[0]->mean));
        CHECK(test::identical(part.variance, parts[0]->variance));
        dweight = add(dweight, part.weight.grad()), dbias = add(dbias, part.bias.grad());
      }
      CHECK(test::close(dweight, whole.weight.grad(), tolerance));
      CHECK(test::close(dbias, whole.bias.grad(), tolerance));
    }
}

TEST_CASE("one value per channel is too little for all processes together, not for one of them") {
  const auto norm = [](Index rows, Communicator& communicator) {
    return batch_norm<double>(ones<double>({rows, 2}), {}, {}, {}, {}, {.communicator = &communicator});
  };
  test::on_ranks(2, [&](Communicator& communicator) { norm(1, communicator); });
  for (const std::string& error :
       test::errors_on_ranks(2, [&](Communicator& communicator) { norm(communicator.rank(), communicator); }))
    CHECK(
        error.ends_with("and all processes together 1 values per channel, but training expects more than 1"));
}
