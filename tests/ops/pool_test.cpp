// SPDX-License-Identifier: MIT
#include "gram/ops/pool.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape shape;
  PoolOptions options;
};

// Kernel 1, remainders, ceil_mode with and without a dropped window, gaps between windows, unequal sides,
// kernels larger than the map, channels with and without a tail, no image.
const std::vector<Case> cases{
    {{1, 1, 1, 1}, {}},
    {{2, 5, 7, 3}, {.kernel = 2}},
    {{1, 6, 6, 4}, {.kernel = 3, .stride = 2, .padding = 1}},
    {{1, 6, 7, 17}, {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}},
    {{2, 5, 5, 2}, {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}},
    {{1, 5, 4, 5},
     {.kernel = {2, 3}, .stride = {3, 1}, .padding = {1, 0}, .ceil_mode = true, .count_include_pad = false}},
    {{1, 7, 8, 1}, {.kernel = 1, .stride = 3, .ceil_mode = true}},
    {{1, 3, 2, 16}, {.kernel = 4, .stride = 2, .padding = 2, .ceil_mode = true}},
    {{1, 4, 4, 70}, {.kernel = {4, 2}}},
    {{0, 4, 4, 3}, {.kernel = 2}}};

/// The definition: maxima or means of the windows, in double.
Tensor<double> naive(const Tensor<double>& x, const PoolOptions& o, bool maximum) {
  const PoolWindows s = detail::pool_windows("naive", x.shape(), o);
  Tensor<double> y({x.dim(0), s.out_h, s.out_w, x.dim(3)});
  double* out = y.data();
  for (Index n = 0; n < x.dim(0); ++n)
    for (Index oh = 0; oh < s.out_h; ++oh)
      for (Index ow = 0; ow < s.out_w; ++ow)
        for (Index c = 0; c < x.dim(3); ++c) {
          double sum = 0, largest = -std::numeric_limits<double>::infinity();
          Index inside = 0, padded = 0;
          for (Index h = oh * s.stride_h - s.pad_h; h < oh * s.stride_h - s.pad_h + s.kernel_h; ++h)
            for (Index w = ow * s.stride_w - s.pad_w; w < ow * s.stride_w - s.pad_w + s.kernel_w; ++w) {
              padded += h < s.h + s.pad_h && w < s.w + s.pad_w;
              if (h < 0 || w < 0 || h >= s.h || w >= s.w) continue;
              ++inside;
              sum += x.at({n, h, w, c});
              largest = std::max(largest, x.at({n, h, w, c}));
            }
          *out++ = maximum ? largest : sum / static_cast<double>(o.count_include_pad ? padded : inside);
        }
  return y;
}

template <Scalar T>
void check_values(double tolerance) {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.shape));
    const auto x = randn<T>(c.shape, 1);
    const auto exact = converted<double>(x);
    CHECK(test::distance(converted<double>(max_pool2d(x, c.options)), naive(exact, c.options, true)) == 0);
    CHECK(test::distance(converted<double>(avg_pool2d(x, c.options)), naive(exact, c.options, false)) <
          tolerance);
  }
}

/// Twice on one input, so that the second gradient is added to the first.
template <class F>
auto twice(F f) {
  return [f](const Tensor<double>& x) { return std::vector{f(x), f(x)}; };
}

}  // namespace

TEST_CASE("max_pool2d and avg_pool2d agree with their definitions") {
  check_values<double>(1e-14);
  check_values<float>(1e-6);
  check_values<bf16>(1e-2);
}

TEST_CASE("pools agree with PyTorch") {
  // python3 -c "import torch; from torch.nn import functional as f; x = torch.arange(20.).view(1, 1, 4, 5) **
  // 2; o = dict(ceil_mode=True) print(f.max_pool2d(x, 3, 2, 1, **o), f.avg_pool2d(x, 3, 2, 1, **o),
  // f.avg_pool2d(x, 3, 2, 1, count_include_pad=False, **o), f.adaptive_avg_pool2d(x, (3, 2)))"
  const auto x = generate<double>({1, 4, 5, 1}, [](Index i) { return i * i; });
  PoolOptions options{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true};
  CHECK(test::close(max_pool2d(x, options), {36.0, 64.0, 81.0, 256.0, 324.0, 361.0, 256.0, 324.0, 361.0},
                    1e-6));
  CHECK(test::close(
      avg_pool2d(x, options),
      {6.888889, 18.111111, 18.888889, 84.777779, 161.333328, 132.777771, 80.166664, 144.833328, 114.166664},
      1e-6));
  options.count_include_pad = false;
  CHECK(test::close(avg_pool2d(x, options),
                    {15.5, 27.166666, 42.5, 127.166664, 161.333328, 199.166672, 240.5, 289.666656, 342.5},
                    1e-6));
  CHECK(test::close(adaptive_avg_pool2d(x, {3, 2}),
                    {19.166666, 37.166668, 79.166664, 117.166664, 189.166672, 247.166672}, 1e-6));
}

TEST_CASE("pooled extents are those of PyTorch") {
  // python3 -c "import torch; f = lambda i, k, s, p, c: torch.nn.functional.max_pool2d(torch.zeros(1, i, i),
  // k, s, p, ceil_mode=c).shape[-1] print(f(5, 2, 2, 0, 0), f(5, 2, 2, 0, 1), f(4, 2, 3, 1, 1), f(2, 3, 2, 0,
  // 1), f(6, 3, 2, 1, 1), f(7, 1, 3, 0, 1))"
  CHECK(detail::pooled_extent(5, 2, 2, 0, false) == 2);
  CHECK(detail::pooled_extent(5, 2, 2, 0, true) == 3);
  CHECK(detail::pooled_extent(4, 2, 3, 1, true) == 2);
  CHECK(detail::pooled_extent(2, 3, 2, 0, true) == 1);
  CHECK(detail::pooled_extent(6, 3, 2, 1, true) == 4);
  CHECK(detail::pooled_extent(7, 1, 3, 0, true) == 3);
}

TEST_CASE("the gradient of max_pool2d goes to the first of equal values, and NaN is not lost") {
  Tensor<float> x({1, 2, 3, 1}, {1, 2, 2, 2, 0, 2});
  x.set_requires_grad();
  backward(max_pool2d(x, {.kernel = 2, .stride = 1}), Tensor<float>({1, 1, 2, 1}, {10, 1}));
  CHECK(test::close(x.grad(), {0.0F, 11.0F, 0.0F, 0.0F, 0.0F, 0.0F}, 0));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(max_pool2d(Tensor<float>({1, 1, 3, 1}, {1, nan, 2}), {.kernel = {1, 3}}).item()));
  const float low = -std::numeric_limits<float>::infinity();
  CHECK(max_pool2d(full<float>({1, 2, 2, 1}, low), {.kernel = 2}).item() == low);
}

TEST_CASE("adaptive and global average pools agree with their definitions") {
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{1, 1, 1, 20}, Shape{1, 3, 8, 65}, Shape{0, 2, 2, 1}})
    for (const Pair out : {Pair(1), Pair(2, 3), Pair(5, 7), Pair(9, 4)}) {
      CAPTURE(to_text(shape));
      const auto x = randn<double>(shape, 1);
      Tensor<double> expected(shape.with(1, out.h).with(2, out.w));
      for (Index i = 0; i < expected.size(); ++i) {
        const Index C = shape[3], c = i % C, w = i / C % out.w, h = i / C / out.w % out.h,
                    n = i / C / out.w / out.h;
        const Index h0 = h * shape[1] / out.h, h1 = ceil_div((h + 1) * shape[1], out.h);
        const Index w0 = w * shape[2] / out.w, w1 = ceil_div((w + 1) * shape[2], out.w);
        double sum = 0;
        for (Index a = h0; a < h1; ++a)
          for (Index b = w0; b < w1; ++b) sum += x.at({n, a, b, c});
        expected.data()[i] = sum / static_cast<double>((h1 - h0) * (w1 - w0));
      }
      CHECK(test::distance(adaptive_avg_pool2d(x, out), expected) < 1e-14);
      if (out == Pair(1))
        CHECK(test::distance(global_avg_pool(x), expected.alias({shape[0], shape[3]})) < 1e-14);
    }
  CHECK(test::close(global_avg_pool(Tensor<double>({1, 2, 2}, {1, 2, 3, 6})), {2.0, 4.0}, 1e-15));
  CHECK(test::close(global_avg_pool(Tensor<double>({1, 2}, {1, 2})), {1.0, 2.0}, 0));
}

TEST_CASE("the gradients of pools agree with central differences") {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.shape));
    const auto x = randn<double>(c.shape, 1);
    CHECK(gradcheck(twice([&](const auto& v) { return max_pool2d(v, c.options); }), x) < 1e-6);
    CHECK(gradcheck(twice([&](const auto& v) { return avg_pool2d(v, c.options); }), x) < 1e-6);
  }
  const auto x = randn<double>({2, 5, 4, 3}, 1);
  for (const Pair out : {Pair(1), Pair(2, 3), Pair(7, 5)})
    CHECK(gradcheck(twice([&](const auto& v) { return adaptive_avg_pool2d(v, out); }), x) < 1e-6);
  CHECK(gradcheck(twice([](const auto& v) { return global_avg_pool(v); }), x) < 1e-6);
  CHECK(gradcheck([](const auto& v) { return global_avg_pool(v); }, randn<double>({2, 5, 19}, 1)) < 1e-6);
}

TEST_CASE("pools give the same bits on one thread and two, and nearly the same with every instruction set") {
  const auto run = [&] {
    std::vector<Tensor<float>> results;
    const auto add = [&](auto f) {
      Tensor<float> x = randn<float>({2, 23, 31, 37}, 1);
      x.set_requires_grad();
      const auto y = f(x);
      backward(y, randn<float>(y.shape(), 2));
      results.push_back(y.detach()), results.push_back(x.grad());
    };
    const PoolOptions options{.kernel = 3, .stride = 2, .padding = 1};
    add([&](const auto& x) { return max_pool2d(x, options); });
    add([&](const auto& x) { return avg_pool2d(x, options); });
    add([&](const auto& x) { return global_avg_pool(x); });
    return results;
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) < 1e-6);
}

TEST_CASE("pools say what does not fit") {
  const auto x = ones<float>({1, 4, 4, 2});
  CHECK(test::error_of([&] {
          max_pool2d(ones<float>({4, 4, 2}), {.kernel = 2});
        }) == "max_pool2d: x has shape (4, 4, 2), but (N, H, W, C) is needed");
  CHECK(test::error_of([&] {
          max_pool2d(x, {.kernel = {5, 2}});
        }) ==
        "max_pool2d: x has shape (1, 4, 4, 2), but kernel is (5, 2) and padding (0, 0); no window fits");
  CHECK(test::error_of([&] { avg_pool2d(x, {.kernel = 3, .padding = 2}); }) ==
        "avg_pool2d: padding is (2, 2), but kernel is (3, 3); at most half of it is allowed");
  CHECK(test::error_of([&] {
          avg_pool2d(x, {.kernel = {0, 1}});
        }) == "avg_pool2d: kernel is (0, 1) and stride (0, 1), but both must be positive");
  CHECK(test::error_of([&] {
          adaptive_avg_pool2d(x, {0, 1});
        }) == "adaptive_avg_pool2d: output size is (0, 1), but both extents must be positive");
  CHECK(test::error_of([&] { global_avg_pool(ones<float>({3})); }) ==
        "global_avg_pool: x has shape (3), but (N, ..., C) with at least one position is needed");
}
