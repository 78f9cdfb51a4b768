// SPDX-License-Identifier: MIT
#include "gram/cpu/decorrelation.hpp"

#include <vector>

#include "gram/core/gradient_sink.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

template <class T>
struct Problem {
  Problem(Index heads, Index row_count, Index columns, double spread) : rows(row_count), n(columns) {
    for (Index k = 0; k < heads; ++k) {
      z.push_back(generate<T>({rows, n}, [&](Index i) {
        return spread * RandomKey{static_cast<std::uint64_t>(k), 0}.normal(static_cast<std::uint64_t>(i));
      }));
      pointers.push_back(z.back().data());
    }
  }
  Index heads() const { return static_cast<Index>(z.size()); }

  /// softmax of the mean of the heads' logits (head < 0), or of those of one head.
  std::vector<double> softmax(Index row, Index head) const {
    std::vector<double> p(static_cast<std::size_t>(n));
    double largest = -HUGE_VAL, sum = 0;
    for (Index i = 0; i < n; ++i) {
      double& logit = p[static_cast<std::size_t>(i)];
      for (Index k = 0; k < heads(); ++k)
        if (head < 0 || k == head)
          logit += static_cast<double>(z[static_cast<std::size_t>(k)].at({row, i})) /
                   static_cast<double>(head < 0 ? heads() : 1);
      largest = std::max(largest, logit);
    }
    for (double& logit : p) sum += logit = std::exp(logit - largest);
    for (double& logit : p) logit /= sum;
    return p;
  }
  double loss(double scale) const {
    double total = 0;
    for (Index row = 0; row < rows; ++row) {
      const auto p = softmax(row, -1);
      for (Index k = 0; k < heads(); ++k) {
        const auto q = softmax(row, k);
        for (std::size_t i = 0; i < p.size(); ++i)
          if (p[i] > 0) total += p[i] * std::log(p[i] / q[i]);
      }
    }
    return scale * total;
  }

  Index rows, n;
  std::vector<Tensor<T>> z;
  std::vector<const T*> pointers;
};

template <class T>
constexpr double tolerance = std::is_same_v<T, double>  ? 1e-13
                             : std::is_same_v<T, float> ? 1e-5
                                                        : 2e-2;

}  // namespace

TEST_CASE_TEMPLATE("the divergence of the heads from their consensus, term by term", T, float, double, bf16) {
  test::for_each_isa([] {
    for (const Index heads : {1, 2, 5})
      for (const Index n : {1, 3, 16, 37, 500})
        for (const Index rows : {1, 40}) {  // 500 columns: 32 rows to a block
          const Problem<T> problem(heads, rows, n, 2);
          T loss = T(0.0F);
          kernels::decorrelation(Cpu{}, heads, problem.pointers.data(), &loss, rows, n, 0.25);
          const double expected = problem.loss(0.25);
          CHECK(std::abs(static_cast<double>(loss) - expected) <=
                tolerance<T> * std::max(1.0, std::abs(expected)));
        }
  });
}

TEST_CASE_TEMPLATE("its gradient is softmax(z_k) - p, written, added, or left out", T, float, double, bf16) {
  test::for_each_isa([] {
    for (const Index n : {1, 5, 33, 500}) {
      const Index heads = 3, rows = 40;
      const Problem<T> problem(heads, rows, n, 2);
      const auto before = randn<T>({rows, n}, 9);
      const Tensor<T> written({rows, n}), added = before.clone();
      const GradientSink<T> sinks[] = {{written.data(), false}, {}, {added.data(), true}};
      const T dy = T(-2.0F);
      kernels::decorrelation_grad(Cpu{}, heads, problem.pointers.data(), &dy, sinks, rows, n, 0.5);
      const auto expected = [&](Index head, bool add) {
        Tensor<T> dz({rows, n});
        for (Index row = 0; row < rows; ++row) {
          const auto p = problem.softmax(row, -1), q = problem.softmax(row, head);
          for (Index i = 0; i < n; ++i) {
            const auto column = static_cast<std::size_t>(i);
            const double old = add ? static_cast<double>(before.at({row, i})) : 0;
            dz.at({row, i}) = static_cast<T>(old - (q[column] - p[column]));  // dy scale = -1
          }
        }
        return dz;
      };
      CHECK(test::close(written, expected(0, false), tolerance<T>));
      CHECK(test::close(added, expected(2, true), tolerance<T>));
    }
  });
}

TEST_CASE("logits that are far apart give finite losses and gradients") {
  const Problem<float> problem(3, 4, 20, 1e4);
  float loss = 0;
  kernels::decorrelation(Cpu{}, 3, problem.pointers.data(), &loss, 4, 20, 1);
  CHECK(std::isfinite(loss));
  CHECK(loss > 0);
  const Tensor<float> dz({4, 20});
  const GradientSink<float> sinks[] = {{dz.data(), false}, {}, {}};
  const float dy = 1;
  kernels::decorrelation_grad(Cpu{}, 3, problem.pointers.data(), &dy, sinks, 4, 20, 1);
  for (const float d : dz.span()) CHECK(std::abs(d) <= 1);
}
