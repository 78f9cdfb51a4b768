// SPDX-License-Identifier: MIT
#include "gram/cpu/gemm.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// A product with operands of random numbers in memory with gaps between the rows.
template <class T>
struct Product {
  GemmShape s;
  bool transpose_a, transpose_b, bias, add, relu, residual = false;
  Tensor<T> a = randn<T>({transpose_a ? s.k : s.m, (transpose_a ? s.m : s.k) + 3}, 1);
  Tensor<T> b = randn<T>({transpose_b ? s.n : s.k, (transpose_b ? s.k : s.n) + 1}, 2);
  Tensor<T> biases = randn<T>({s.n}, 3);
  Tensor<T> before = randn<T>({s.m, s.n + 2}, 4), residuals = randn<T>({s.m, s.n + 2}, 5);

  GemmEpilogue<T> epilogue(const T* base = nullptr) const {
    return {bias ? biases.data() : nullptr, add, relu, residual ? residuals.data() : nullptr, base};
  }

  Tensor<T> computed() const {
    Tensor<T> c = before.clone();
    kernels::gemm(Cpu{}, s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, c.data(),
                  s.n + 2, epilogue());
    return c;
  }
  Tensor<T> computed_serially() const {
    Tensor<T> c = before.clone();
    Scratch<T> scratch(cpu::gemm_serial_scratch<T>(s, transpose_a));
    cpu::gemm_serial(s, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b, c.data(), s.n + 2,
                     epilogue(c.data()), scratch.data());
    return c;
  }
  Tensor<T> expected() const {
    Tensor<T> c = before.clone();
    for (Index i = 0; i < s.m; ++i)
      for (Index j = 0; j < s.n; ++j) {
        double sum = (bias ? static_cast<double>(biases.at({j})) : 0) +
                     (add ? static_cast<double>(before.at({i, j})) : 0) +
                     (residual ? static_cast<double>(residuals.at({i, j})) : 0);
        for (Index x = 0; x < s.k; ++x)
          sum += static_cast<double>(a.data()[transpose_a ? x * a.dim(1) + i : i * a.dim(1) + x]) *
                 static_cast<double>(b.data()[transpose_b ? j * b.dim(1) + x : x * b.dim(1) + j]);
        c.at({i, j}) = static_cast<T>(relu ? std::max(sum, 0.0) : sum);
      }
    return c;
  }
};

template <class T>
constexpr double tolerance = std::is_same_v<T, double>  ? 1e-14
                             : std::is_same_v<T, float> ? 2e-6
                                                        : 1e-2;

template <class F>
void for_each_layout(F f) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      CAPTURE(transpose_a);
      CAPTURE(transpose_b);
      f(transpose_a, transpose_b);
    }
}

// One of each driver and its seams: serial, by columns, by rows (many and few blocks), by parts, tails
// everywhere.
const GemmShape shapes[] = {{1, 1, 1},    {0, 5, 3},     {5, 0, 3},     {7, 9, 0},    {5, 3, 2},
                            {13, 70, 31}, {40, 300, 12}, {70, 520, 5},  {97, 67, 45}, {400, 130, 9},
                            {6200, 3, 8}, {20, 70, 600}, {20, 30, 200}, {30, 40, 300}};

}  // namespace

TEST_CASE_TEMPLATE("products agree with three loops: all layouts, sizes, epilogues", T, float, double, bf16) {
  for_each_layout([](bool transpose_a, bool transpose_b) {
    Index number = 0;
    for (const GemmShape& s : shapes) {
      CAPTURE(s.m);
      CAPTURE(s.n);
      CAPTURE(s.k);
      const bool bias = number % 2 != 0, add = number % 3 != 0, relu = number % 5 == 0,
                 residual = number / 2 % 2 == 0;
      ++number;
      const Product<T> p{s, transpose_a, transpose_b, bias, add, relu, residual};
      CHECK(test::close(p.computed(), p.expected(), tolerance<T>));
      if constexpr (!std::is_same_v<T, bf16>)
        CHECK(test::close(p.computed_serially(), p.expected(), tolerance<T>));
    }
  });
}

TEST_CASE("products have the same bits for any number of threads") {
  for_each_layout([](bool transpose_a, bool transpose_b) {
    for (const GemmShape& s : shapes) {
      const Product<float> p{s, transpose_a, transpose_b, true, true, false};
      CHECK(test::same_for_any_threads([&] { return std::vector{p.computed()}; }));
    }
  });
}

TEST_CASE("products agree on every instruction set") {
  for_each_layout([](bool transpose_a, bool transpose_b) {
    for (const GemmShape& s : shapes) {
      const Product<float> p{s, transpose_a, transpose_b, true, true, true, true};
      const auto expected = p.expected();
      test::for_each_isa([&] { CHECK(test::close(p.computed(), expected, tolerance<float>)); });
    }
  });
}

TEST_CASE_TEMPLATE("a batch is its products one by one; a stride of zero repeats an operand", T, float,
                   bf16) {
  const GemmShape s{9, 20, 6};
  const Index count = 5;
  for_each_layout([&](bool transpose_a, bool transpose_b) {
    for (const Index repeat : {0, 1}) {
      const auto a = randn<T>({count, s.m * s.k}, 1), b = randn<T>({count, s.k * s.n}, 2),
                 bias = randn<T>({count, s.n}, 3);
      Tensor<T> batched({count, s.m, s.n}), single({count, s.m, s.n});
      const Index lda = transpose_a ? s.m : s.k, ldb = transpose_b ? s.k : s.n;
      kernels::gemm_batched(Cpu{}, {count, s.m * s.k, repeat * s.k * s.n, s.m * s.n, repeat * s.n}, s,
                            a.data(), lda, transpose_a, b.data(), ldb, transpose_b, batched.data(), s.n,
                            {.bias = bias.data()});
      for (Index i = 0; i < count; ++i)
        kernels::gemm(Cpu{}, s, a.data() + i * s.m * s.k, lda, transpose_a, b.data() + repeat * i * s.k * s.n,
                      ldb, transpose_b, single.data() + i * s.m * s.n, s.n,
                      {.bias = bias.data() + repeat * i * s.n});
      CHECK(test::identical(batched, single));
    }
  });
}

TEST_CASE("a batch of large matrices is spread inside each product") {
  const GemmShape s{150, 700, 230};
  const auto a = randn<float>({2, s.m, s.k}, 1), b = randn<float>({2, s.k, s.n}, 2);
  Tensor<float> batched({2, s.m, s.n}), second({s.m, s.n});
  kernels::gemm_batched(Cpu{}, {2, s.m * s.k, s.k * s.n, s.m * s.n}, s, a.data(), s.k, false, b.data(), s.n,
                        false, batched.data(), s.n);
  kernels::gemm(Cpu{}, s, a.data() + s.m * s.k, s.k, false, b.data() + s.k * s.n, s.n, false, second.data(),
                s.n);
  CHECK(test::identical(batched.alias_rows(1, 2).alias({s.m, s.n}), second));
}

TEST_CASE_TEMPLATE("a product with B packed before has the same bits", T, float, double) {
  test::for_each_isa([] {
    for (const GemmShape& s : shapes)
      for (const bool transpose_b : {false, true}) {
        const Product<T> p{s, false, transpose_b, true, true, true, true};
        const auto run = [&] {
          Tensor<T> c = p.before.clone();
          Scratch<T> packed(cpu::tile_table<T>().packed_size(s.k, s.n));
          cpu::gemm_pack(s.k, s.n, cpu::operand(p.b.data(), p.b.dim(1), transpose_b), packed.data());
          cpu::gemm_packed(s, p.a.data(), p.a.dim(1), packed.data(), c.data(), s.n + 2, p.epilogue(c.data()));
          return std::vector{c};
        };
        CHECK(test::identical(run()[0], p.computed()));
        CHECK(test::same_for_any_threads(run));
      }
  });
}

TEST_CASE("a product of bf16 matrices can keep its sums in float") {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const Index m = 5, n = 7, k = 40;
      const auto a = randn<bf16>(transpose_a ? Shape{k, m} : Shape{m, k}, 1);
      const auto b = randn<bf16>(transpose_b ? Shape{n, k} : Shape{k, n}, 2);
      Tensor<float> found({m, n}), expected({m, n});
      kernels::gemm_wide(Cpu{}, {m, n, k}, a.data(), a.dim(1), transpose_a, b.data(), b.dim(1), transpose_b,
                         found.data(), n);
      const auto wide_a = converted<float>(a), wide_b = converted<float>(b);
      kernels::gemm(Cpu{}, {m, n, k}, wide_a.data(), a.dim(1), transpose_a, wide_b.data(), b.dim(1),
                    transpose_b, expected.data(), n);
      CHECK(test::identical(found, expected));
    }
}
