// SPDX-License-Identifier: MIT
#include "gram/cpu/gemm_bf16.hpp"

#include <random>

#include "gram/cpu/gemm.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// Products in bf16 until the end of scope.
struct InBf16 {
  InBf16() { set_product_precision(Precision::bf16); }
  ~InBf16() { set_product_precision(Precision::float32); }
};

/// A product with operands of random numbers in memory with gaps between the rows.
struct Product {
  GemmShape s;
  bool transpose_a, transpose_b, bias, add, relu;
  Tensor<float> a = randn<float>({transpose_a ? s.k : s.m, (transpose_a ? s.m : s.k) + 3}, 1);
  Tensor<float> b = randn<float>({transpose_b ? s.n : s.k, (transpose_b ? s.k : s.n) + 1}, 2);
  Tensor<float> biases = randn<float>({s.n}, 3);
  Tensor<float> before = randn<float>({s.m, s.n + 2}, 4);

  GemmEpilogue<float> epilogue() const { return {bias ? biases.data() : nullptr, add, relu}; }

  /// In bf16 whatever the size.
  Tensor<float> rounded() const {
    Tensor<float> c = before.clone();
    cpu::gemm_bf16(s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, c.data(), s.n + 2,
                   epilogue());
    return c;
  }
  /// As chosen by the precision of the program and the size.
  Tensor<float> chosen() const {
    Tensor<float> c = before.clone();
    kernels::gemm(Cpu{}, s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, c.data(),
                  s.n + 2, epilogue());
    return c;
  }
  Tensor<float> expected() const {
    Tensor<float> c = before.clone();
    for (Index i = 0; i < s.m; ++i)
      for (Index j = 0; j < s.n; ++j) {
        double sum = (bias ? static_cast<double>(biases.at({j})) : 0) +
                     (add ? static_cast<double>(before.at({i, j})) : 0);
        for (Index x = 0; x < s.k; ++x)
          sum += static_cast<double>(bf16(a.data()[transpose_a ? x * a.dim(1) + i : i * a.dim(1) + x])) *
                 static_cast<double>(bf16(b.data()[transpose_b ? j * b.dim(1) + x : x * b.dim(1) + j]));
        c.at({i, j}) = static_cast<float>(relu ? std::max(sum, 0.0) : sum);
      }
    return c;
  }
};

template <class F>
void for_each_layout(F f) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      CAPTURE(transpose_a);
      CAPTURE(transpose_b);
      f(transpose_a, transpose_b);
    }
}

// One of each driver and its seams: by columns (few rows; a small A), by rows (many and few blocks), A^T B in
// one part and in several, several slices, tails everywhere.
const GemmShape shapes[] = {{1, 1, 1},     {64, 65, 33}, {80, 520, 30},  {97, 67, 45},
                            {400, 130, 9}, {6200, 3, 8}, {50, 70, 1100}, {201, 390, 280}};

}  // namespace

TEST_CASE("products of rounded operands agree with three loops in double") {
  for_each_layout([](bool transpose_a, bool transpose_b) {
    Index number = 0;
    for (const GemmShape& s : shapes) {
      CAPTURE(s.m);
      CAPTURE(s.n);
      CAPTURE(s.k);
      ++number;
      const Product p{s, transpose_a, transpose_b, number % 2 != 0, number % 3 != 0, number % 4 == 0};
      const auto expected = p.expected();
      test::for_each_isa([&] { CHECK(test::close(p.rounded(), expected, 1e-6)); });
    }
  });
}

TEST_CASE("products of rounded operands agree with three loops for hundreds of small shapes") {
  std::mt19937 random(1);
  const auto size = [&](Index most) {
    return static_cast<Index>(random() % static_cast<unsigned>(most)) + 1;
  };
  for (int round = 0; round < test::rounds(100); ++round)
    for_each_layout([&](bool transpose_a, bool transpose_b) {
      const Product p{{size(40), size(140), size(40)},
                      transpose_a,
                      transpose_b,
                      random() % 2 == 0,
                      random() % 2 == 0,
                      random() % 2 == 0};
      CAPTURE(p.s.m);
      CAPTURE(p.s.n);
      CAPTURE(p.s.k);
      const auto expected = p.expected();
      test::for_each_isa([&] { CHECK(test::close(p.rounded(), expected, 1e-6)); });
    });
}

TEST_CASE("products of rounded operands have the same bits for any number of threads") {
  for_each_layout([](bool transpose_a, bool transpose_b) {
    for (const GemmShape& s : shapes) {
      const Product p{s, transpose_a, transpose_b, true, true, false};
      CHECK(test::same_for_any_threads([&] { return std::vector{p.rounded()}; }));
    }
  });
}

TEST_CASE("the precision of the program decides about large products of float, and about nothing else") {
  CHECK(product_precision() == Precision::float32);
  const Product large{{200, 300, 100}, false, true, true, false, false};
  const Product small{{20, 30, 10}, false, true, true, false, false};
  const Product narrow{{8, 1000, 500}, false, false, false, false, false};
  const auto exact = large.chosen(), exact_small = small.chosen(), exact_narrow = narrow.chosen();
  const auto x = randn<double>({100, 100}, 1);
  const auto product = [&] {
    Tensor<double> y({100, 100});
    kernels::gemm(Cpu{}, {100, 100, 100}, x.data(), 100, false, x.data(), 100, false, y.data(), 100);
    return y;
  };
  const auto exact_double = product();
  {
    const InBf16 scope;
    CHECK(product_precision() == Precision::bf16);
    CHECK(test::identical(large.chosen(), large.rounded()));
    CHECK(test::identical(small.chosen(), exact_small));
    CHECK(test::identical(narrow.chosen(), exact_narrow));
    CHECK(test::identical(product(), exact_double));
    const double error = test::distance(large.chosen(), exact);
    CHECK(error > 1e-4);
    CHECK(error < 1e-2);
  }
  CHECK(test::identical(large.chosen(), exact));
}

TEST_CASE("NaN and infinity of an operand reach the rows and columns that they belong to, and no others") {
  test::for_each_isa([] {
    for_each_layout([](bool transpose_a, bool transpose_b) {
      const Product p{{50, 67, 33}, transpose_a, transpose_b, false, false, false};
      const Index x = 32;  // the last of an odd number, beside a zero
      p.a.data()[transpose_a ? x * p.a.dim(1) + 7 : 7 * p.a.dim(1) + x] = std::nanf("");
      p.b.data()[transpose_b ? 66 * p.b.dim(1) + x : x * p.b.dim(1) + 66] = HUGE_VALF;
      const auto c = p.rounded();
      bool right = true;
      for (Index i = 0; i < 50; ++i)
        for (Index j = 0; j < 67; ++j) {
          const float v = c.at({i, j});
          right = right && (i == 7 ? std::isnan(v) : j == 66 ? std::isinf(v) : std::isfinite(v));
        }
      CHECK(right);
    });
  });
}
