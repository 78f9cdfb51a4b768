// SPDX-License-Identifier: MIT
#include "gram/cpu/thin.hpp"

#include "gram/cpu/gemm.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

enum class Form { dots, mix, spread };

/// A batch of two products in memory with gaps between the rows.
template <class T>
struct ThinBatch {
  Form form;
  GemmShape s;
  bool bias, add;
  Tensor<T> a = randn<T>({2, form == Form::spread ? s.k : s.m, (form == Form::spread ? s.m : s.k) + 3}, 1);
  Tensor<T> b = randn<T>({2, form == Form::dots ? s.n : s.k, (form == Form::dots ? s.k : s.n) + 1}, 2);
  Tensor<T> biases = randn<T>({2, s.n}, 3), before = randn<T>({2, s.m, s.n + 2}, 4);

  Tensor<T> computed() const {
    Tensor<T> c = before.clone();
    const auto of = [&](Index i) {
      T* const to = c.data() + i * s.m * (s.n + 2);
      return cpu::ThinOperands<T>{a.data() + i * a.dim(1) * a.dim(2),
                                  b.data() + i * b.dim(1) * b.dim(2),
                                  to,
                                  {bias ? biases.data() + i * s.n : nullptr, add, false, nullptr, to}};
    };
    if (form == Form::dots) cpu::thin_dots<T>(2, s, a.dim(2), b.dim(2), s.n + 2, of);
    if (form == Form::mix) cpu::thin_mix<T>(2, s, a.dim(2), b.dim(2), s.n + 2, of);
    if (form == Form::spread) cpu::thin_spread<T>(2, s, a.dim(2), b.dim(2), s.n + 2, of);
    return c;
  }
  Tensor<T> expected() const {
    Tensor<T> c = before.clone();
    for (Index p = 0; p < 2; ++p)
      for (Index i = 0; i < s.m; ++i)
        for (Index j = 0; j < s.n; ++j) {
          double sum = (bias ? static_cast<double>(biases.at({p, j})) : 0) +
                       (add ? static_cast<double>(before.at({p, i, j})) : 0);
          for (Index x = 0; x < s.k; ++x)
            sum += static_cast<double>(form == Form::spread ? a.at({p, x, i}) : a.at({p, i, x})) *
                   static_cast<double>(form == Form::dots ? b.at({p, j, x}) : b.at({p, x, j}));
          c.at({p, i, j}) = static_cast<T>(sum);
        }
    return c;
  }
};

template <class T>
constexpr double tolerance = std::is_same_v<T, double> ? 1e-14 : 2e-6;

template <class F>
void for_each_case(F f) {
  for (const Form form : {Form::dots, Form::mix, Form::spread})
    for (Index number = 0; number < 60; ++number) {  // shapes without a pattern, every height of a tile
      const Index m = form == Form::spread ? 1 + number * 37 % 90 : number % 17, n = 1 + number * 29 % 83,
                  k = form == Form::spread ? number % 17 : number * 53 % 141;
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(k);
      f(form, GemmShape{m, n, k}, form != Form::spread && number % 2 != 0, number % 3 == 0);
    }
}

}  // namespace

TEST_CASE_TEMPLATE("products with few rows agree with three loops on every instruction set", T, float,
                   double) {
  for_each_case([](Form form, GemmShape s, bool bias, bool add) {
    const ThinBatch<T> batch{form, s, bias, add};
    const auto expected = batch.expected();
    test::for_each_isa([&] { CHECK(test::close(batch.computed(), expected, tolerance<T>)); });
  });
}

TEST_CASE_TEMPLATE("rows that are multiplied in parts give the whole sum", T, float, double) {
  for (const Index k : {512, 513, 1024, 1025, 2100}) {
    CAPTURE(k);
    const ThinBatch<T> batch{Form::dots, {11, 8, k}, true, true};
    const auto expected = batch.expected();
    test::for_each_isa([&] { CHECK(test::close(batch.computed(), expected, tolerance<T>)); });
  }
}

TEST_CASE("products with few rows have the same bits for any number of threads") {
  for (const Form form : {Form::dots, Form::mix, Form::spread}) {
    const ThinBatch<float> batch{form, form == Form::spread ? GemmShape{500, 700, 8} : GemmShape{8, 700, 500},
                                 false, true};
    CHECK(test::close(batch.computed(), batch.expected(), tolerance<float>));
    CHECK(test::same_for_any_threads([&] { return std::vector{batch.computed()}; }));
  }
}

TEST_CASE_TEMPLATE("matrix products take the forms for few rows where they fit", T, float, double) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const GemmShape s = transpose_a ? GemmShape{200, 150, 8} : GemmShape{8, 200, 150};
      const auto a = randn<T>({transpose_a ? s.k : s.m, transpose_a ? s.m : s.k}, 1);
      const auto b = randn<T>({transpose_b ? s.n : s.k, transpose_b ? s.k : s.n}, 2),
                 bias = randn<T>({s.n}, 3);
      Tensor<T> c({s.m, s.n}), expected({s.m, s.n});
      kernels::gemm(Cpu{}, s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, c.data(), s.n,
                    {.bias = transpose_a ? nullptr : bias.data(), .relu = !transpose_a});
      Scratch<T> scratch(cpu::gemm_serial_scratch<T>(s, transpose_a));
      cpu::gemm_serial(s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, expected.data(),
                       s.n, {.bias = transpose_a ? nullptr : bias.data(), .relu = !transpose_a},
                       scratch.data());
      CHECK(cpu::is_thin<T>(s, transpose_a, transpose_b, {}) == !(transpose_a && transpose_b));
      CHECK(test::close(c, expected, tolerance<T>));
    }
}

TEST_CASE("gradients with more than a sum behind them are not for the form that only adds") {
  const GemmShape s{200, 150, 8};
  CHECK(cpu::is_thin<float>(s, true, false, {.add = true}));
  CHECK_FALSE(cpu::is_thin<float>(s, true, false, {.relu = true}));
  CHECK_FALSE(cpu::is_thin<float>(s, true, false, {.gelu = true}));
}
