// SPDX-License-Identifier: MIT
#include "gram/ops/layer_norm.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

// A single value, vectors with and without a tail, more than one piece of rows.
const std::vector<Shape> shapes{{1},     {3, 1},         {7},       {2, 3, 5}, {2, 16},
                                {3, 33}, {1, 2, 2, 100}, {1, 0, 8}, {33, 9}};

template <Scalar T>
void check_values(double tolerance) {
  for (const Shape& shape : shapes) {
    CAPTURE(to_text(shape));
    const Index C = shape[-1];
    const auto x = randn<T>(shape, 1);
    const auto weight = randn<accum_t<T>>({C}, 2), bias = randn<accum_t<T>>({C}, 3);
    Tensor<double> expected(shape);
    for (Index r = 0; r < x.size(); r += C) {
      double mean = 0, var = 0;
      for (Index c = 0; c < C; ++c) mean += static_cast<double>(x.data()[r + c]) / static_cast<double>(C);
      for (Index c = 0; c < C; ++c) {
        const double d = static_cast<double>(x.data()[r + c]) - mean;
        var += d * d / static_cast<double>(C);
      }
      for (Index c = 0; c < C; ++c)
        expected.data()[r + c] = (static_cast<double>(x.data()[r + c]) - mean) / std::sqrt(var + 1e-5) *
                                     static_cast<double>(weight.data()[c]) +
                                 static_cast<double>(bias.data()[c]);
    }
    CHECK(test::distance(converted<double>(layer_norm(x, weight, bias, 1e-5)), expected) < tolerance);
  }
}

}  // namespace

TEST_CASE("layer_norm agrees with its definition") {
  check_values<double>(1e-12);
  check_values<float>(2e-6);
  check_values<bf16>(1e-2);
}

TEST_CASE("layer_norm agrees with PyTorch") {
  // python3 -c "import torch; t = lambda *a: torch.tensor(a, dtype=torch.float64)
  // print(torch.nn.functional.layer_norm(t([1, 2, 4], [-1, 0, 7]), (3,), t(1, 2, .5), t(.1, .2, .3),
  // 1e-6).tolist())"  (2.15)
  const auto y = layer_norm(Tensor<double>({2, 3}, {1, 2, 4, -1, 0, 7}), Tensor<double>({3}, {1, 2, 0.5}),
                            Tensor<double>({3}, {0.1, 0.2, 0.3}), 1e-6);
  CHECK(test::close(y,
                    {-0.9690446240282667, -0.33452231201413346, 0.9681528900176666, -0.7429271971500834,
                     -0.9239029295334444, 1.0024393309584028},
                    1e-12));
}

TEST_CASE("layer_norm's gradients agree with central differences") {
  for (const Shape& shape : shapes) {
    CAPTURE(to_text(shape));
    const Shape channels{shape[-1]};
    CHECK(gradcheck([](const auto& x, const auto& w, const auto& b) { return layer_norm(x, w, b, 1e-2); },
                    randn<double>(shape, 1), randn<double>(channels, 2), randn<double>(channels, 3)) < 1e-6);
  }
  CHECK(gradcheck([](const auto& x, const auto& w) { return layer_norm(x, w, w, 1e-2); },
                  randn<double>({3, 11}, 1), randn<double>({11}, 2)) < 1e-6);
  CHECK(gradcheck([](const auto& x) { return layer_norm(x, {}, {}, 1e-5); }, randn<double>({3, 11}, 1)) <
        1e-6);
}

TEST_CASE("layer_norm adds to gradients that are there already") {
  const auto twice = [](const auto& x, const auto& w, const auto& b) {
    return std::vector{layer_norm(x, w, b, 1e-3), layer_norm(x, w, b, 1e-1)};
  };
  CHECK(gradcheck(twice, randn<double>({2, 19}, 1), randn<double>({19}, 2), randn<double>({19}, 3)) < 1e-6);
}

TEST_CASE(
    "layer_norm gives the same bits on one thread and two, and nearly the same with every instruction set") {
  const Shape shape{400, 201};
  const auto run = [&] {
    Tensor<float> x = randn<float>(shape, 1), w = randn<float>({201}, 2), b = randn<float>({201}, 3);
    x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
    const auto y = layer_norm(x, w, b, 1e-5);
    backward(y, randn<float>(shape, 4));
    return std::vector<Tensor<float>>{y.detach(), x.grad(), w.grad(), b.grad()};
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) < 1e-5);
}

TEST_CASE("layer_norm says what does not fit") {
  const auto x = ones<float>({2, 3}), three = ones<float>({3}), four = ones<float>({4});
  CHECK(test::error_of([&] { layer_norm(x, four, three, 1e-5); }) ==
        "layer_norm: weight has shape (4), but x has shape (2, 3); one value per channel is needed");
  CHECK(test::error_of([&] {
          layer_norm(ones<float>({2, 0}), {}, {}, 1e-5);
        }) == "layer_norm: x has shape (2, 0), but (..., C) with C >= 1 is needed");
}
