// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_prepared.hpp"

#include "isa_and_threads.hpp"
#include "naive_conv2d.hpp"
#include "support.hpp"

using namespace gram;

namespace {

/// conv2d_prepared called twice, the second time with other weights, which it must not look at unless nothing
/// is kept.
template <class T>
std::vector<T> twice(const Conv2dShape& s, const test::ConvProblem<T>& p, kernels::PreparedWeights<T>& kept,
                     int& asked) {
  std::vector<T> y(static_cast<std::size_t>(s.y_size()));
  const auto weight = [&] { return ++asked, p.weight.data(); };
  kernels::conv2d_prepared(Cpu{}, s, p.x.data(), weight, kept, {.bias = p.bias.data(), .relu = true},
                           y.data());
  const std::vector<T> first = y;
  kernels::conv2d_prepared(Cpu{}, s, p.x.data(), weight, kept, {.bias = p.bias.data(), .relu = true},
                           y.data());
  CHECK(y == first);
  return y;
}

}  // namespace

TEST_CASE("prepared convolutions of all forms are those of conv2d, and ask for their weights once") {
  const Conv2dShape shapes[] = {
      {.n = 2, .h = 9, .w = 7, .c = 5, .o = 18, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
      {.n = 2, .h = 9, .w = 7, .c = 24, .o = 40, .kh = 1, .kw = 1},
      {.n = 2, .h = 9, .w = 7, .c = 16, .o = 32, .kh = 1, .kw = 1, .groups = 8},
      {.n = 2, .h = 9, .w = 7, .c = 12, .o = 12, .kh = 3, .kw = 3, .padding = 1, .groups = 12},
      {.n = 2, .h = 31, .w = 34, .c = 32, .o = 48, .kh = 3, .kw = 3, .padding = 1}};
  test::for_each_isa([&] {
    for (const Conv2dShape& s : shapes) {
      const test::ConvProblem<float> p(s);
      std::vector<float> expected(static_cast<std::size_t>(s.y_size()));
      kernels::conv2d<float>(Cpu{}, s, p.x.data(), p.weight.data(), {.bias = p.bias.data(), .relu = true},
                             expected.data());
      kernels::PreparedWeights<float> kept;
      int asked = 0;
      const auto y = twice(s, p, kept, asked);
      CHECK(asked == (cpu::is_depthwise(s) ? 2 : 1));
      CHECK((kept.packed != nullptr) == !cpu::is_depthwise(s));
      double difference = 0;
      for (std::size_t i = 0; i < y.size(); ++i)
        difference =
            std::max(difference, std::abs(static_cast<double>(y[i]) - static_cast<double>(expected[i])));
      CHECK(difference < 1e-4);
    }
  });
}

TEST_CASE("weights are prepared again for another form: other maps, the direct method, another precision") {
  const Conv2dShape large{.n = 2, .h = 31, .w = 34, .c = 32, .o = 48, .kh = 3, .kw = 3, .padding = 1};
  Conv2dShape small = large;
  small.n = 1, small.h = 5, small.w = 5;
  REQUIRE(cpu::winograd_plan(large, cpu::WinogradWeights::kept));
  REQUIRE_FALSE(cpu::winograd_plan(small, cpu::WinogradWeights::kept));
  const test::ConvProblem<float> p(large);
  kernels::PreparedWeights<float> kept;
  int asked = 0;
  twice(large, p, kept, asked);
  CHECK(asked == 1);
  CHECK(kept.winograd_tile != 0);
  twice(small, p, kept, asked);
  CHECK(asked == 2);
  CHECK(kept.winograd_tile == 0);

  set_convolution_method(ConvolutionMethod::direct);
  twice(large, p, kept, asked);
  CHECK(asked == 2);
  set_product_precision(Precision::bf16);
  twice(large, p, kept, asked);
  CHECK(asked == 3);
  CHECK(kept.rounded != nullptr);
  CHECK(kept.packed == nullptr);
  set_convolution_method(ConvolutionMethod::automatic);
  set_product_precision(Precision::float32);
  twice(large, p, kept, asked);
  CHECK(asked == 4);
  CHECK(kept.winograd_tile != 0);
  CHECK(kept.rounded == nullptr);
}

TEST_CASE("prepared convolutions in bf16 are those of conv2d, from weights of half the size") {
  const Conv2dShape shapes[] = {
      {.n = 2, .h = 9, .w = 7, .c = 12, .o = 18, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
      {.n = 40, .h = 9, .w = 7, .c = 64, .o = 40, .kh = 1, .kw = 1},
      {.n = 2, .h = 9, .w = 7, .c = 32, .o = 64, .kh = 3, .kw = 3, .padding = 1, .groups = 8}};
  set_product_precision(Precision::bf16);
  test::for_each_isa([&] {
    for (const Conv2dShape& s : shapes) {
      const test::ConvProblem<float> p(s);
      std::vector<float> expected(static_cast<std::size_t>(s.y_size()));
      kernels::conv2d<float>(Cpu{}, s, p.x.data(), p.weight.data(), {.bias = p.bias.data(), .relu = true},
                             expected.data());
      kernels::PreparedWeights<float> kept;
      int asked = 0;
      CHECK(twice(s, p, kept, asked) == expected);
      CHECK(asked == 1);
      CHECK(kept.rounded != nullptr);
      CHECK(kept.packed == nullptr);
    }
  });
  set_product_precision(Precision::float32);
}

TEST_CASE(
    "kept weights are rounded whatever the number of pixels: who changes the batch does not prepare again") {
  Conv2dShape s{.n = 1, .h = 1, .w = 1, .c = 64, .o = 48, .kh = 1, .kw = 1};
  set_product_precision(Precision::bf16);
  kernels::PreparedWeights<float> kept;
  int asked = 0;
  for (const Index n : {1, 5, 8, 300, 1}) {
    s.n = n;
    const test::ConvProblem<float> p(s);
    std::vector<float> y(static_cast<std::size_t>(s.y_size()));
    kernels::conv2d_prepared(
        Cpu{}, s, p.x.data(), [&] { return ++asked, p.weight.data(); }, kept, {}, y.data());
  }
  CHECK(asked == 1);
  set_product_precision(Precision::float32);
}
