// SPDX-License-Identifier: MIT
#include "gram/ops/resize.hpp"

#include <algorithm>
#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape shape;
  Pair size;
};

// Up, down, unchanged, to and from one pixel, remainders, channels with and without a tail, no image.
const std::vector<Case> cases{{{1, 1, 1, 1}, 1},       {{2, 3, 4, 5}, {6, 8}},  {{1, 5, 7, 3}, {3, 2}},
                              {{1, 4, 1, 17}, {1, 6}}, {{2, 2, 3, 64}, {5, 4}}, {{1, 6, 5, 2}, {6, 5}},
                              {{0, 3, 3, 4}, 2},       {{1, 9, 9, 1}, 1}};
const std::vector<ResizeOptions> modes{
    {ResizeMode::bilinear, false}, {ResizeMode::bilinear, true}, {ResizeMode::nearest, false}};

/// Reads x at one point, as the definition says.
double naive(const Tensor<double>& x, Index n, double h, double w, Index c) {
  const Index H = x.dim(1), W = x.dim(2);
  double value = 0;
  for (Index i = 0; i < H; ++i)
    for (Index j = 0; j < W; ++j)
      value += std::max(0.0, 1 - std::abs(h - static_cast<double>(i))) *
               std::max(0.0, 1 - std::abs(w - static_cast<double>(j))) * x.at({n, i, j, c});
  return value;
}
double position(Index o, Index in, Index out, const ResizeOptions& mode) {
  const double i = static_cast<double>(in), p = static_cast<double>(out), k = static_cast<double>(o);
  if (mode.mode == ResizeMode::nearest) return static_cast<double>(o * in / out);
  if (mode.align_corners) return out > 1 ? k * (i - 1) / (p - 1) : 0;
  return std::clamp((k + 0.5) * i / p - 0.5, 0.0, i - 1);
}

template <Scalar T>
void check_values(double tolerance) {
  for (const Case& c : cases)
    for (const ResizeOptions& mode : modes) {
      CAPTURE(to_text(c.shape));
      const auto x = randn<T>(c.shape, 1);
      const auto exact = converted<double>(x);
      const auto y = converted<double>(resize(x, c.size, mode));
      Tensor<double> expected({c.shape[0], c.size.h, c.size.w, c.shape[3]});
      double* e = expected.data();
      for (Index n = 0; n < c.shape[0]; ++n)
        for (Index h = 0; h < c.size.h; ++h)
          for (Index w = 0; w < c.size.w; ++w)
            for (Index k = 0; k < c.shape[3]; ++k)
              *e++ = naive(exact, n, position(h, c.shape[1], c.size.h, mode),
                           position(w, c.shape[2], c.size.w, mode), k);
      CHECK(test::distance(y, expected) < tolerance);
    }
}

}  // namespace

TEST_CASE("resize agrees with its definition") {
  check_values<double>(1e-14);
  check_values<float>(1e-6);
  check_values<bf16>(1e-2);
}

TEST_CASE("resize agrees with PyTorch") {
  // python3 -c "import torch; f = torch.nn.functional.interpolate; x = torch.arange(1., 7).view(1, 1, 2, 3)
  // ** 2 for o in (dict(mode='bilinear'), dict(mode='bilinear', align_corners=True), dict(mode='nearest')):
  // print(f(x, (3, 2), **o).flatten().tolist())"
  const auto x = Tensor<double>({1, 2, 3, 1}, {1, 4, 9, 16, 25, 36});
  CHECK(test::close(resize(x, {3, 2}), {1.75, 7.75, 10.0, 20.5, 18.25, 33.25}, 1e-6));
  CHECK(test::close(resize(x, {3, 2}, {.align_corners = true}), {1.0, 9.0, 8.5, 22.5, 16.0, 36.0}, 1e-6));
  CHECK(
      test::close(resize(x, {3, 2}, {.mode = ResizeMode::nearest}), {1.0, 4.0, 1.0, 4.0, 16.0, 25.0}, 1e-6));
}

TEST_CASE("nearest resizing chooses PyTorch's position where the scale is not exact in float") {
  // python3 -c "import torch; x = torch.tensor([0., 1]).view(1, 1, 1, -1);
  // print(torch.nn.functional.interpolate(x, (1, 82))[0, 0, 0, 41])"  (2.15: 0)
  const auto y = resize(arange<float>(2).alias({1, 1, 2, 1}), {1, 82}, {.mode = ResizeMode::nearest});
  CHECK(y.at({0, 0, 41, 0}) == 0);
}

TEST_CASE("resize's gradients agree with central differences") {
  for (const Case& c : cases)
    for (const ResizeOptions& mode : modes) {
      CAPTURE(to_text(c.shape));
      CHECK(gradcheck([&](const auto& x) { return resize(x, c.size, mode); }, randn<double>(c.shape, 1)) <
            1e-6);
    }
  const auto twice = [](const auto& x) { return std::vector{resize(x, {3, 5}), resize(x, {1, 2})}; };
  CHECK(gradcheck(twice, randn<double>({2, 4, 3, 3}, 1)) < 1e-6);
}

TEST_CASE(
    "resize gives the same bits on one thread and two, and nearly the same with every instruction set") {
  const auto run = [&] {
    Tensor<float> x = randn<float>({2, 23, 31, 37}, 1);
    x.set_requires_grad();
    const auto y = resize(x, {41, 17});
    backward(y, randn<float>(y.shape(), 2));
    return std::vector<Tensor<float>>{y.detach(), x.grad()};
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) < 1e-6);
}

TEST_CASE("resize says what does not fit") {
  CHECK(test::error_of([] {
          resize(ones<float>({2, 3, 4}), 2);
        }) == "resize: x has shape (2, 3, 4), but (N, H, W, C) with at least one pixel is needed");
  CHECK(test::error_of([] {
          resize(ones<float>({1, 2, 2, 1}), {0, 3});
        }) == "resize: size is (0, 3), but both extents must be positive");
  CHECK(test::error_of([] {
          resize(ones<float>({1, 2, 2, 1}), 3, {ResizeMode::nearest, true});
        }) == "resize: align_corners is set, but mode is nearest; it means something for bilinear only");
}
