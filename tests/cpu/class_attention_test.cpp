// SPDX-License-Identifier: MIT
// The rows that class attention is made of; the whole of it is compared with its textbook form in
// tests/ops/class_attention_test.cpp.
#include "gram/cpu/class_attention.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

constexpr Index widths[] = {1, 5, 16, 33, 100};
constexpr Index R = 3;

template <class T>
constexpr double tolerance = std::is_same_v<T, double> ? 1e-13 : 5e-6;

template <class T>
double value(const Tensor<T>& t, Index i) {
  return static_cast<double>(t.data()[i]);
}

}  // namespace

TEST_CASE_TEMPLATE("rows are normalised, also far from zero", T, float, double) {
  test::for_each_isa([] {
    const auto& table = cpu::class_attention_table<T>();
    for (const Index C : widths)
      for (const double offset : {0.0, 100.0}) {
        const auto x = generate<T>({R, C}, [&](Index i) {
          return offset + RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
        });
        const Tensor<T> hat({R, C}), rstd({R});
        table.normalise_rows(R, C, static_cast<T>(1e-5), x.data(), hat.data(), rstd.data());
        for (Index r = 0; r < R; ++r) {
          double mean = 0, variance = 0;
          for (Index c = 0; c < C; ++c) mean += value(x, r * C + c) / static_cast<double>(C);
          for (Index c = 0; c < C; ++c)
            variance += (value(x, r * C + c) - mean) * (value(x, r * C + c) - mean) / static_cast<double>(C);
          const double expected = 1 / std::sqrt(variance + 1e-5);
          CHECK(value(rstd, r) == doctest::Approx(expected).epsilon(C == 1 ? 1e-3 : 1e-4));
          double difference = 0;
          for (Index c = 0; c < C; ++c)
            difference = std::max(difference,
                                  std::abs(value(hat, r * C + c) - (value(x, r * C + c) - mean) * expected));
          CHECK(difference < (offset == 0 ? 1 : 100) * tolerance<T>);
        }
      }
  });
}

TEST_CASE_TEMPLATE("the gradient of normalised rows, written and added", T, float, double) {
  test::for_each_isa([] {
    for (const Index C : widths) {
      const auto hat = randn<T>({R, C}, 1), dhat = randn<T>({R, C}, 2), old = randn<T>({R, C}, 3);
      const auto rstd = rand<T>({R}, 0.5, 2, 4);
      for (const bool add : {false, true}) {
        const Tensor<T> dx = old.clone();
        cpu::class_attention_table<T>().normalise_rows_grad(R, C, hat.data(), rstd.data(), dhat.data(),
                                                            dx.data(), add);
        const auto expected = generate<T>({R, C}, [&](Index i) {
          const Index first = i / C * C;
          double mean = 0, slope = 0;
          for (Index c = first; c < first + C; ++c) {
            mean += value(dhat, c) / static_cast<double>(C);
            slope += value(dhat, c) * value(hat, c) / static_cast<double>(C);
          }
          return (add ? value(old, i) : 0) +
                 value(rstd, i / C) * (value(dhat, i) - mean - value(hat, i) * slope);
        });
        CHECK(test::close(dx, expected, tolerance<T>));
      }
    }
  });
}

TEST_CASE_TEMPLATE("scaled and shifted rows, dots and scaled sums stay inside their rows", T, float, double) {
  test::for_each_isa([] {
    const auto& table = cpu::class_attention_table<T>();
    for (const Index C : widths) {
      const auto x = randn<T>({R, C}, 1), g = randn<T>({C}, 2), b = randn<T>({C}, 3);
      for (const bool bias : {false, true}) {
        const auto y = full<T>({R * C + 1}, 7);
        table.affine_rows(R, C, x.data(), g.data(), bias ? b.data() : nullptr, y.data());
        const auto expected = generate<T>({R * C + 1}, [&](Index i) {
          return i == R * C ? 7 : value(g, i % C) * value(x, i) + (bias ? value(b, i % C) : 0);
        });
        CHECK(test::close(y, expected, tolerance<T>));
      }
      double dot = 0;
      for (Index c = 0; c < C; ++c) dot += value(g, c) * value(b, c);
      CHECK(std::abs(static_cast<double>(table.dot(C, g.data(), b.data())) - dot) <
            tolerance<T> * static_cast<double>(C));
      const auto sum = full<T>({C + 1}, 7);
      table.add_scaled(C, static_cast<T>(-0.5), g.data(), sum.data());
      CHECK(test::close(sum,
                        generate<T>({C + 1}, [&](Index i) { return i == C ? 7 : 7 - 0.5 * value(g, i); }),
                        tolerance<T>));
    }
  });
}
