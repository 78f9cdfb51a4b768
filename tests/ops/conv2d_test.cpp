// SPDX-License-Identifier: MIT
#include "gram/ops/conv2d.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Index n, h, w, c, o, kh, kw;
  Conv2dOptions options;
  bool bias = true;

  Tensor<double> x() const { return randn<double>({n, h, w, c}, 1); }
  Tensor<double> weight() const { return randn<double>({o, kh, kw, c / options.groups}, 2); }
  Tensor<double> b() const { return bias ? randn<double>({o}, 3) : Tensor<double>{}; }
  std::string name() const {
    return text("n ", n, " ", Pair(h, w), " c ", c, " o ", o, " k ", Pair(kh, kw), " s ", options.stride,
                " p ", options.padding, " d ", options.dilation, " g ", options.groups,
                bias ? "" : " no bias");
  }
};

/// The definition, term by term.
template <Scalar T>
Tensor<T> naive_conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                       const Conv2dOptions& p) {
  const Index h = x.dim(1), w = x.dim(2), channels = x.dim(3), o = weight.dim(0), kh = weight.dim(1),
              kw = weight.dim(2);
  const Index out_h = (h + 2 * p.padding.h - p.dilation.h * (kh - 1) - 1) / p.stride.h + 1,
              depth = weight.dim(3);
  const Index out_w = (w + 2 * p.padding.w - p.dilation.w * (kw - 1) - 1) / p.stride.w + 1;
  return generate<T>({x.dim(0), out_h, out_w, o}, [&](Index at) {
    const Index k = at % o, j = at / o % out_w, i = at / (o * out_w) % out_h, n = at / (o * out_w * out_h);
    double sum = bias.defined() ? static_cast<double>(bias.data()[k]) : 0;
    for (Index a = 0; a < kh; ++a)
      for (Index b = 0; b < kw; ++b) {
        const Index u = i * p.stride.h + a * p.dilation.h - p.padding.h,
                    v = j * p.stride.w + b * p.dilation.w - p.padding.w;
        if (u < 0 || u >= h || v < 0 || v >= w) continue;
        const T* pixel = x.data() + ((n * h + u) * w + v) * channels + k / (o / p.groups) * depth;
        const T* tap = weight.data() + ((k * kh + a) * kw + b) * depth;
        for (Index c = 0; c < depth; ++c) sum += static_cast<double>(pixel[c]) * static_cast<double>(tap[c]);
      }
    return sum;
  });
}

/// Shapes small enough for central differences: each is there for one thing that goes wrong.
std::vector<Case> small_cases() {
  return {
      {1, 1, 1, 1, 1, 1, 1, {}},
      {2, 3, 4, 3, 5, 1, 1, {}},
      {2, 5, 4, 3, 2, 1, 1, {.stride = 2}},
      {1, 5, 6, 2, 3, 1, 1, {.stride = 3, .padding = 1}},
      {2, 4, 5, 2, 3, 2, 2, {}, false},
      {1, 6, 6, 2, 3, 2, 2, {.stride = 2}},
      {1, 5, 5, 3, 2, 3, 3, {.padding = 1}},
      {1, 6, 7, 2, 3, 3, 3, {.stride = 2, .padding = 1}},
      {1, 7, 8, 1, 2, 3, 3, {.stride = 3, .padding = 2}, false},
      {1, 7, 7, 2, 2, 3, 3, {.padding = 2, .dilation = 2}},
      {1, 8, 9, 1, 2, 3, 3, {.stride = 2, .padding = 1, .dilation = 2}},
      {1, 9, 9, 1, 1, 3, 3, {.stride = 3, .padding = 2, .dilation = 2}},
      {1, 9, 9, 1, 1, 2, 3, {.stride = 4, .padding = 3, .dilation = 6}},
      {1, 2, 2, 2, 2, 3, 3, {.padding = 4}},
      {1, 6, 5, 2, 1, 5, 5, {.padding = 2}},
      {1, 4, 9, 2, 3, 1, 5, {.stride = Pair(1, 2), .padding = Pair(0, 2)}},
      {1, 9, 4, 2, 3, 5, 2, {.stride = Pair(3, 1), .padding = Pair(1, 0), .dilation = Pair(2, 1)}},
      {1, 5, 5, 4, 6, 3, 3, {.padding = 1, .groups = 2}},
      {1, 6, 5, 6, 9, 3, 2, {.stride = 2, .padding = 1, .groups = 3}, false},
      {2, 3, 3, 8, 4, 1, 1, {.groups = 4}},
      {1, 5, 4, 3, 3, 3, 3, {.padding = 1, .groups = 3}},
      {2, 6, 7, 5, 5, 3, 3, {.stride = 2, .padding = 1, .groups = 5}},
      {1,
       7,
       7,
       2,
       2,
       5,
       4,
       {.stride = Pair(2, 3), .padding = Pair(4, 2), .dilation = Pair(1, 2), .groups = 2},
       false},
      {1, 5, 5, 3, 6, 3, 3, {.padding = 1, .groups = 3}},
      {1, 4, 4, 2, 2, 1, 1, {.stride = 2, .groups = 2}},
  };
}

/// Shapes that fill the tiles: several panels, tails of rows and of columns, several tasks and parts.
std::vector<Case> large_cases() {
  return {
      {3, 13, 11, 16, 16, 3, 3, {.padding = 1}},
      {2, 14, 14, 65, 70, 3, 3, {.padding = 1}},
      {2, 15, 15, 32, 33, 3, 3, {.stride = 2, .padding = 1}},
      {5, 8, 8, 64, 130, 1, 1, {}},
      {2, 9, 9, 40, 24, 1, 1, {.stride = 2}},
      {20, 4, 4, 20, 20, 3, 3, {.padding = 1}},
      {1, 40, 40, 3, 16, 3, 3, {.padding = 1}},
      {2, 10, 9, 48, 96, 3, 3, {.padding = 2, .dilation = 2}},
      {2, 8, 8, 168, 16, 1, 1, {.groups = 8}},
      {2, 9, 9, 24, 48, 3, 3, {.stride = 2, .padding = 1, .groups = 4}},
      {2, 17, 18, 70, 70, 3, 3, {.padding = 1, .groups = 70}},
      {1, 16, 15, 32, 32, 7, 7, {.padding = 3, .groups = 32}},
      {18, 9, 9, 20, 20, 3, 3, {.stride = 2, .padding = 1, .groups = 20}},
      {1, 12, 12, 8, 16, 3, 3, {.padding = 1, .groups = 8}},
      {2, 9, 9, 48, 36, 3, 3, {.stride = 2, .padding = 1, .groups = 12}},
      {2, 7, 9, 34, 68, 3, 3, {.padding = 1, .groups = 17}},
  };
}

template <Scalar T>
Tensor<T> conv(const Case& k, const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b) {
  return conv2d(x, w, b, k.options);
}

/// The result and the three gradients of a case.
template <Scalar T>
std::vector<Tensor<T>> all_results(const Case& k) {
  Tensor<T> x = converted<T>(k.x()), w = converted<T>(k.weight()),
            b = k.bias ? converted<T>(k.b()) : Tensor<T>{};
  x.set_requires_grad(), w.set_requires_grad();
  if (k.bias) b.set_requires_grad();
  const Tensor<T> y = conv(k, x, w, b);
  backward(y, converted<T>(randn<double>(y.shape(), 4)));
  std::vector<Tensor<T>> results{y, x.grad(), w.grad()};
  if (k.bias) results.push_back(b.grad());
  return results;
}

}  // namespace

TEST_CASE("conv2d is the sum of its definition") {
  for (const auto& cases : {small_cases(), large_cases()})
    for (const Case& k : cases) {
      CAPTURE(k.name());
      const Tensor<double> expected = naive_conv2d(k.x(), k.weight(), k.b(), k.options);
      CHECK(test::close(conv(k, k.x(), k.weight(), k.b()), expected, 1e-13));
      const Tensor<float> b = k.bias ? converted<float>(k.b()) : Tensor<float>{};
      const Tensor<float> y = conv(k, converted<float>(k.x()), converted<float>(k.weight()), b);
      CHECK(test::close(converted<double>(y), expected, 2e-6));
    }
}

TEST_CASE("conv2d's gradients agree with central differences") {
  for (const Case& k : small_cases()) {
    CAPTURE(k.name());
    if (k.bias)
      CHECK(gradcheck([&](const auto& x, const auto& w, const auto& b) { return conv2d(x, w, b, k.options); },
                      k.x(), k.weight(), k.b()) < 1e-7);
    else
      CHECK(gradcheck([&](const auto& x, const auto& w) { return conv2d(x, w, {}, k.options); }, k.x(),
                      k.weight()) < 1e-7);
  }
}

TEST_CASE("conv2d's gradients on larger maps are those of a bilinear function") {
  for (const Case& k : large_cases()) {
    CAPTURE(k.name());
    // conv is bilinear, so <dx, u> = <dy, conv(u, w)> for every u, and <dw, v> = <dy, conv(x, v)> for every v
    const auto inner = [](const Tensor<double>& a, const Tensor<double>& b) {
      double sum = 0;
      for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
      return sum;
    };
    const auto results = all_results<double>(k);
    const Tensor<double> dy = randn<double>(results[0].shape(), 4);
    for (std::uint64_t seed = 10; seed < 13; ++seed) {
      const Tensor<double> u = randn<double>(k.x().shape(), seed),
                           v = randn<double>(k.weight().shape(), seed);
      CHECK(inner(results[1], u) ==
            doctest::Approx(inner(dy, naive_conv2d(u, k.weight(), {}, k.options))).epsilon(1e-10));
      CHECK(inner(results[2], v) ==
            doctest::Approx(inner(dy, naive_conv2d(k.x(), v, {}, k.options))).epsilon(1e-10));
    }
    if (k.bias)
      CHECK(test::close(results[3],
                        generate<double>({k.o},
                                         [&](Index o) {
                                           double sum = 0;
                                           for (Index i = o; i < dy.size(); i += k.o) sum += dy.data()[i];
                                           return sum;
                                         }),
                        1e-13));
    const auto single = all_results<float>(k);
    for (std::size_t i = 0; i < results.size(); ++i)
      CHECK(test::close(converted<double>(single[i]), results[i], 5e-6));
  }
}

TEST_CASE("conv2d adds to gradients that are there already") {
  const Case k{2, 7, 7, 20, 18, 3, 3, {.stride = 2, .padding = 1}};
  for (const Index groups : {Index{1}, Index{2}, Index{20}}) {
    Case g = k;
    g.options.groups = groups;
    if (groups == 20) g.o = 20;
    Tensor<double> x = g.x(), w = g.weight(), b = g.b();
    x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
    const Tensor<double> y = conv(g, x, w, b), dy = randn<double>(y.shape(), 4);
    backward(y, dy);
    const Tensor<double> dx = x.grad().clone(), dw = w.grad().clone(), db = b.grad().clone();
    backward(conv(g, x, w, b), dy);
    for (const auto& [twice, once] :
         {std::pair{x.grad(), dx}, std::pair{w.grad(), dw}, std::pair{b.grad(), db}})
      CHECK(test::close(
          twice, generate<double>(once.shape(), [&o = once](Index i) { return 2 * o.data()[i]; }), 1e-13));
  }
}

TEST_CASE("conv2d's results do not depend on the number of threads") {
  for (const Case& k : large_cases()) {
    CAPTURE(k.name());
    CHECK(test::same_for_any_threads([&] { return all_results<float>(k); }));
  }
}

TEST_CASE("conv2d gives the same on every instruction set") {
  for (const Case& k : large_cases()) {
    CAPTURE(k.name());
    const auto single = all_results<float>(k);
    const auto exact = all_results<double>(k);
    test::for_each_isa([&] {
      const auto results = all_results<float>(k);
      for (std::size_t i = 0; i < single.size(); ++i) CHECK(test::close(results[i], single[i], 5e-6));
      const auto in_double = all_results<double>(k);
      for (std::size_t i = 0; i < exact.size(); ++i) CHECK(test::close(in_double[i], exact[i], 1e-13));
    });
  }
}

TEST_CASE("conv2d in bf16 is that in float, rounded") {
  for (const Index groups : {Index{1}, Index{16}}) {
    const Case k{2, 6, 6, 16, 16, 3, 3, {.padding = 1, .groups = groups}};
    const auto half = all_results<bf16>(k);
    const auto exact = all_results<double>(k);
    for (std::size_t i = 0; i < exact.size(); ++i)
      CHECK(test::close(converted<double>(half[i]), exact[i], 2e-2));
  }
}

TEST_CASE("conv2d of no images is no image, and its gradients are zero") {
  for (const Index groups : {Index{1}, Index{4}}) {
    const auto results = all_results<double>({0, 5, 5, 4, 4, 3, 3, {.padding = 1, .groups = groups}});
    CHECK(results[0].shape() == Shape{0, 5, 5, 4});
    CHECK(results[1].size() == 0);
    CHECK(test::identical(results[2], zeros<double>({4, 3, 3, 4 / groups})));
    CHECK(test::identical(results[3], zeros<double>({4})));
  }
}

TEST_CASE("conv2d without gradients records nothing; a constant input gets none") {
  const Tensor<float> x = randn<float>({1, 4, 4, 2}, 1);
  Tensor<float> w = randn<float>({3, 3, 3, 2}, 2);
  CHECK(!conv2d(x, w, {}).requires_grad());
  w.set_requires_grad();
  const auto y = conv2d(x, w, {});
  backward(y, y.detach());
  CHECK(w.grad().defined());
  CHECK(!x.grad().defined());
}

TEST_CASE("conv2d says what does not fit") {
  const auto error = [](const Shape& x, const Shape& w, const Shape& b, const Conv2dOptions& o) {
    return test::error_of(
        [&] { conv2d(zeros<float>(x), zeros<float>(w), b.rank() ? zeros<float>(b) : Tensor<float>{}, o); });
  };
  CHECK(error({8, 56, 56, 32}, {64, 3, 3, 64}, {}, {}) ==
        "conv2d: weight (64, 3, 3, 64) expects 64 input channels, input (8, 56, 56, 32) has 32");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 2}, {}, {.groups = 2}) ==
        "conv2d: weight (4, 3, 3, 2) in 2 groups expects 4 input channels, input (2, 5, 5, 6) has 6");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 2}, {}, {.groups = 3}) ==
        "conv2d: weight (4, 3, 3, 2) has 4 output channels; they do not divide into 3 groups");
  CHECK(error({2, 4, 5, 6}, {4, 3, 3, 6}, {}, {.padding = Pair(0, 1), .dilation = 2}) ==
        "conv2d: kernel (3, 3) with dilation (2, 2) covers (5, 5) pixels, but input (2, 4, 5, 6) with "
        "padding (0, 1) has "
        "(4, 7); the result would be empty");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 6}, {6}, {}) ==
        "conv2d: bias has shape (6), but weight (4, 3, 3, 6) has 4 output channels");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 6}, {}, {.stride = Pair(0, 1)}) ==
        "conv2d: stride is (0, 1); it must be positive");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 6}, {}, {.padding = -1}) ==
        "conv2d: padding is (-1, -1); it must not be negative");
  CHECK(
      error({2, 5, 5, 6}, {4, 3, 3, 6}, {}, {.padding = Index{1} << 62U}) ==
      "conv2d: stride (1, 1), dilation (1, 1) or padding (4611686018427387904, 4611686018427387904) is above "
      "2147483648");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 6}, {}, {.dilation = 0}) ==
        "conv2d: dilation is (0, 0); it must be positive");
  CHECK(error({2, 5, 5, 6}, {4, 3, 3, 6}, {}, {.groups = 0}) == "conv2d: groups is 0; it must be positive");
  CHECK(error({5, 5, 6}, {4, 3, 3, 6}, {}, {}) ==
        "conv2d: input has shape (5, 5, 6); (N, H, W, C) is needed");
  CHECK(error({1, 5, 5, 6}, {4, 6}, {}, {}) ==
        "conv2d: weight has shape (4, 6); (O, Kh, Kw, C / groups), all positive, is needed");
}
