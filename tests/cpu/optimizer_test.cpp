// SPDX-License-Identifier: MIT
#include "gram/cpu/optimizer.hpp"

#include <cmath>

#include "gram/tensor/create.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

const std::vector<Index> sizes{0, 1, 7, 16, 63, 64, 1000, 40001};
template <class T>
constexpr double rounding = std::is_same_v<T, double>  ? 1e-14
                            : std::is_same_v<T, float> ? 1e-6
                                                       : 4e-3;

/// Values, their master copies, a gradient and two states of n elements, and copies of all in double.
template <class T>
struct State {
  using A = accum_t<T>;

  explicit State(Index n)
      : parameter(randn<T>({n}, 1)),
        gradient(randn<T>({n}, 2)),
        first(randn<A>({n}, 3)),
        second(generate<A>(
            {n}, [](Index i) { return static_cast<A>(0.01 + 0.001 * static_cast<double>(i % 17)); })),
        master(generate<A>({n}, [&](Index i) { return static_cast<A>(parameter.data()[i]); })) {}
  A* values() {
    if constexpr (std::is_same_v<T, A>)
      return parameter.data();
    else
      return master.data();
  }
  Tensor<T> parameter, gradient;
  Tensor<A> first, second, master;
};

template <Scalar T>
Tensor<double> doubles(const Tensor<T>& x) {
  return generate<double>(x.shape(), [&](Index i) { return static_cast<double>(x.data()[i]); });
}

}  // namespace

TEST_CASE_TEMPLATE("a step of AdamW is its formula, on every instruction set", T, float, double, bf16) {
  using A = accum_t<T>;
  const AdamWStep<A> step{A(0.9), A(0.1), A(0.99), A(0.01), A(0.998), A(0.003), A(1.7), A(1e-8)};
  test::for_each_isa([&] {
    for (const Index n : sizes) {
      CAPTURE(n);
      State<T> state(n);
      const auto w = doubles(state.parameter), g = doubles(state.gradient), m = doubles(state.first),
                 v = doubles(state.second);
      for (Index i = 0; i < n; ++i) {
        double &mi = m.data()[i], &vi = v.data()[i];
        const double gi = g.data()[i];
        mi = step.beta1 * mi + step.share1 * gi;
        vi = step.beta2 * vi + step.share2 * gi * gi;
        w.data()[i] =
            step.keep * w.data()[i] - step.step * mi / (step.correction * std::sqrt(vi) + step.epsilon);
      }
      kernels::adamw(Cpu(), state.parameter.data(), state.values(), state.gradient.data(), state.first.data(),
                     state.second.data(), n, step);
      CHECK(test::close(doubles(state.first), m, rounding<A>));
      CHECK(test::close(doubles(state.second), v, rounding<A>));
      CHECK(test::close(doubles(state.parameter), w, rounding<T>));
      if (!std::is_same_v<T, A>) CHECK(test::close(doubles(state.master), w, rounding<A>));
    }
  });
}

TEST_CASE_TEMPLATE("a step of SGD is its formula, with and without a momentum", T, float, double, bf16) {
  using A = accum_t<T>;
  test::for_each_isa([&] {
    for (const Index n : sizes)
      for (int mode = 0; mode < 8; ++mode) {
        CAPTURE(n);
        CAPTURE(mode);
        const bool buffered = mode & 1, nesterov = mode & 2, first = mode & 4;
        const SgdStep<A> step{A(0.1), buffered ? A(0.9) : A(0), A(0.8), A(0.01), buffered && nesterov, first};
        State<T> state(n);
        const auto w = doubles(state.parameter), g = doubles(state.gradient), b = doubles(state.first);
        for (Index i = 0; i < n; ++i) {
          double d = g.data()[i] + step.weight_decay * w.data()[i];
          if (buffered) {
            double& bi = b.data()[i];
            bi = first ? d : step.momentum * bi + step.share * d;
            d = step.nesterov ? d + step.momentum * bi : bi;
          }
          w.data()[i] -= step.lr * d;
        }
        kernels::sgd(Cpu(), state.parameter.data(), state.values(), state.gradient.data(),
                     buffered ? state.first.data() : nullptr, n, step);
        CHECK(test::close(doubles(state.first), b, rounding<A>));
        CHECK(test::close(doubles(state.parameter), w, rounding<T>));
      }
  });
}

TEST_CASE_TEMPLATE("squares are summed in double, the same for any number of threads", T, float, double,
                   bf16) {
  for (const Index n : sizes) {
    CAPTURE(n);
    const auto x = randn<T>({n}, 1);
    double expected = 0;
    for (const T v : x.span()) expected += static_cast<double>(v) * static_cast<double>(v);
    test::for_each_isa([&] {
      CHECK(kernels::sum_squares(Cpu(), x.data(), n) == doctest::Approx(expected).epsilon(1e-6));
      CHECK(test::same_for_any_threads(
          [&] { return std::vector{full<double>({1}, kernels::sum_squares(Cpu(), x.data(), n))}; }));
    });
  }
}

TEST_CASE_TEMPLATE("scaling multiplies every element", T, float, double, bf16) {
  test::for_each_isa([] {
    for (const Index n : sizes) {
      const auto x = randn<T>({n}, 1), y = x.clone();
      kernels::scale(Cpu(), y.data(), 0.375, n);
      CHECK(
          test::close(y, generate<T>({n}, [&](Index i) { return T(x.data()[i] * T(0.375)); }), rounding<T>));
    }
  });
}
