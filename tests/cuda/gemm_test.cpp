// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

/// Sends products to cuBLASLt, or to the kernel of gemm_tile.cuh, while it lives.
struct ProductsBy {
  cuda::GemmSettings before = cuda::gemm_settings;
  explicit ProductsBy(bool library) { cuda::gemm_settings.cublaslt_from = library ? 0 : Index{1} << 60; }
  ~ProductsBy() { cuda::gemm_settings = before; }
};

struct GemmCase {
  GemmShape shape;
  Index count = 1;
  bool transpose_a = false, transpose_b = false;
  Index pad_a = 0, pad_b = 0, pad_c = 0;  // what leading dimensions exceed rows by
  bool shared_a = false, shared_b = false, shared_bias = false;
  bool bias = false, add = false, residual = false, relu = false, gelu = false;
  Index shift = 0;  // elements between the start of memory and every operand
};

/// The whole memory of C after the product, what lies between its rows included.
template <class T, class D>
Tensor<T> product_of(Device where, D device, const GemmCase& t) {
  const auto [m, n, k] = t.shape;
  const Index lda = (t.transpose_a ? m : k) + t.pad_a, ldb = (t.transpose_b ? k : n) + t.pad_b,
              ldc = n + t.pad_c;
  const Index stride_a = t.shared_a ? 0 : (t.transpose_a ? k : m) * lda + 3 * t.pad_a,
              stride_b = t.shared_b ? 0 : (t.transpose_b ? n : k) * ldb, stride_c = m * ldc + t.pad_c,
              stride_bias = t.shared_bias ? 0 : n;
  const auto make = [&](Index size, std::uint64_t seed) {
    return converted<T>(randn<float>({size + t.shift}, seed)).to(where);
  };
  const auto a = make(t.count * (t.transpose_a ? k : m) * lda + t.count * 3 * t.pad_a, 1),
             b = make(t.count * (t.transpose_b ? n : k) * ldb, 2), bias = make(t.count * n, 3);
  const auto residual = make(t.count * stride_c, 4);
  auto c = make(t.count * stride_c, 5).clone();
  GemmEpilogue<T> e{.add = t.add, .relu = t.relu, .gelu = t.gelu};
  if (t.bias) e.bias = bias.data() + t.shift;
  if (t.residual) e.residual = residual.data() + t.shift, e.base = c.data() + t.shift;
  kernels::gemm_batched(device, {t.count, stride_a, stride_b, stride_c, stride_bias}, t.shape,
                        a.data() + t.shift, lda, t.transpose_a, b.data() + t.shift, ldb, t.transpose_b,
                        c.data() + t.shift, ldc, e);
  return c.to(Device::cpu());
}

template <class T>
double product_distance(const GemmCase& t) {
  return test::distance(product_of<T>(Device::cuda(), Cuda{}, t), product_of<T>(Device::cpu(), Cpu{}, t));
}

TEST_CASE_TEMPLATE("products are those of the CPU, whoever computes them", T, float, double, bf16) {
  for (const bool library : {false, true}) {
    const ProductsBy by(library);
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const GemmShape shape : {GemmShape{1, 1, 1},
                                      {3, 5, 7},
                                      {64, 64, 16},
                                      {65, 70, 33},
                                      {1, 130, 20},
                                      {130, 1, 8},
                                      {8, 5, 4}}) {
          CAPTURE(library);
          CAPTURE(shape.m);
          CAPTURE(shape.n);
          CAPTURE(transpose_a);
          CAPTURE(transpose_b);

          GemmCase t{.shape = shape, .transpose_a = transpose_a, .transpose_b = transpose_b};
          CHECK(product_distance<T>(t) <= test::device_tolerance<T>);
          t.count = 3, t.pad_a = 2, t.pad_b = 4, t.pad_c = 3;
          CHECK(product_distance<T>(t) <= test::device_tolerance<T>);
        }
  }
}

TEST_CASE_TEMPLATE("epilogues of products are those of the CPU", T, float, double, bf16) {
  for (const bool library : {false, true}) {
    const ProductsBy by(library);
    for (int what = 0; what < 32; ++what)
      for (const GemmShape shape : {GemmShape{9, 24, 6}, {7, 5, 4}}) {
        GemmCase t{.shape = shape,
                   .count = 2,
                   .bias = (what & 1) != 0,
                   .add = (what & 2) != 0,
                   .residual = (what & 4) != 0,
                   .relu = (what & 8) != 0,
                   .gelu = (what & 16) != 0};
        CAPTURE(library);
        CAPTURE(what);
        CAPTURE(shape.n);

        // an epilogue over a stored sum of bf16 rounds once more
        const double tolerance = 2 * test::device_tolerance<T>;
        CHECK(product_distance<T>(t) <= tolerance);
        t.shared_a = true, t.shared_bias = true;
        CHECK(product_distance<T>(t) <= tolerance);
        t.shared_a = false, t.shared_b = true, t.shift = 1, t.pad_c = 2;
        CHECK(product_distance<T>(t) <= tolerance);
      }
  }
}

TEST_CASE_TEMPLATE("products of nothing", T, float, double, bf16) {
  for (const bool library : {false, true}) {
    const ProductsBy by(library);
    for (const GemmShape shape : {GemmShape{0, 3, 4}, {3, 0, 4}, {3, 4, 0}})
      for (const Index count : {0, 2})
        for (const bool add : {false, true})
          CHECK(product_distance<T>({.shape = shape, .count = count, .bias = true, .add = add}) <=
                test::device_tolerance<T>);
  }
}

TEST_CASE("batches larger than an axis of a grid") {
  const ProductsBy by(true);
  CHECK(product_distance<float>({.shape = {1, 4, 1}, .count = 65535 + 3, .bias = true}) <=
        test::device_tolerance<float>);
}

TEST_CASE("NaN passes ReLU and products, and does not leak from rows and columns outside") {
  for (const bool library : {false, true}) {
    const ProductsBy by(library);
    auto a = randn<float>({3, 4}, 1), b = randn<float>({4, 6}, 2);
    a.at({1, 2}) = std::nanf("");
    const auto c = matmul(a.to(Device::cuda()), b.to(Device::cuda())).to(Device::cpu());
    for (Index i = 0; i < 3; ++i)
      for (Index j = 0; j < 6; ++j) CHECK(std::isnan(c.at({i, j})) == (i == 1));
  }
}

TEST_CASE("timing candidates changes no result but the choice") {
  const ProductsBy by(true);
  set_product_tuning(8);
  CHECK(product_distance<float>({.shape = {11, 13, 17}, .count = 2, .pad_c = 5, .bias = true, .add = true}) <=
        test::device_tolerance<float>);
  set_tf32(true);
  CHECK(tf32());
  CHECK(product_distance<float>({.shape = {11, 13, 17}}) <= 2e-3);
}

TEST_CASE_TEMPLATE("matmul and its gradients are those of the CPU", T, float, double, bf16) {
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const MatmulOptions options{transpose_a, transpose_b};
      const auto product = [&](const std::vector<Tensor<T>>& x) { return matmul(x[0], x[1], options); };
      const Index m = 37, k = 20, n = 50;
      for (const bool shared : {false, true}) {
        auto x = test::random_inputs<T>({{3, transpose_a ? k : m, transpose_a ? m : k}});
        const Shape one{transpose_b ? n : k, transpose_b ? k : n};
        const Shape each{3, one[0], one[1]};
        x.push_back(converted<T>(randn<float>(shared ? one : each, 9)));
        CHECK(test::device_distance<T>(product, x) <= 2 * test::device_tolerance<T>);
      }
    }
}

TEST_CASE_TEMPLATE("linear maps in groups are those of the CPU", T, float, double, bf16) {
  for (const Index groups : {1, 2, 4}) {
    const auto map = [&](const std::vector<Tensor<T>>& x) {
      return grouped_linear(x[0], x[1], Tensor<T>{}, groups);
    };
    CHECK(test::device_distance<T>(map, test::random_inputs<T>({{5, 7, 24}, {40, 24 / groups}})) <=
          test::device_tolerance<T>);
  }
}

TEST_CASE("tensors of two devices do not meet in an operation") {
  const Device cuda = Device::cuda();
  const auto here = ones<float>({2, 2}), there = here.to(cuda);
  const std::string of = ": tensors are on cpu and on cuda:0; one device is needed";
  CHECK(test::error_of([&] { matmul(here, there); }) == "matmul" + of);
  CHECK(test::error_of([&] { linear(here, there, {}); }) == "linear" + of);
  CHECK(test::error_of([&] { concat<float>({here, there}, 0); }) == "concat" + of);
  CHECK(test::error_of([&] {
          cross_entropy(here, Tensor<std::int64_t>({2}, {0, 1}).to(cuda));
        }) == "cross_entropy" + of);
  auto x = here.clone();
  x.set_requires_grad();
  CHECK(test::error_of([&] { backward(x * x, there); }) == "backward" + of);
}

}  // namespace
