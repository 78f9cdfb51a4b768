// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

struct PoolCase {
  Shape shape;
  PoolOptions options;
};
const std::vector<PoolCase> pool_cases{
    {{1, 1, 1, 1}, {}},
    {{2, 5, 7, 3}, {.kernel = 2}},
    {{2, 9, 8, 16}, {.kernel = 3, .stride = 2, .padding = 1}},
    {{1, 6, 7, 17}, {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}},
    {{2, 5, 5, 8}, {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}},
    {{1, 5, 4, 5},
     {.kernel = {2, 3}, .stride = {3, 1}, .padding = {1, 0}, .ceil_mode = true, .count_include_pad = false}},
    {{1, 7, 8, 1}, {.kernel = 1, .stride = 3, .ceil_mode = true}},
    {{1, 3, 2, 16}, {.kernel = 4, .stride = 2, .padding = 2, .ceil_mode = true}},
    {{1, 4, 4, 70}, {.kernel = {4, 2}}},
    {{0, 4, 4, 3}, {.kernel = 2}}};

}  // namespace

TEST_CASE_TEMPLATE("max_pool2d and its gradient are those of the CPU", T, float, double, bf16) {
  for (const PoolCase& c : pool_cases) {
    CAPTURE(to_text(c.shape));
    const auto pool = [&](const std::vector<Tensor<T>>& in) { return max_pool2d(in[0], c.options); };
    CHECK(test::device_distance<T>(pool, test::random_inputs<T>({c.shape})) <= test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("max_pool2d adds to a gradient as on the CPU", T, float, bf16) {
  for (const Shape& shape : {Shape{1, 5, 6, 8}, Shape{1, 5, 6, 3}}) {
    const auto pool = [](const Tensor<T>& x) { return max_pool2d(x, {.kernel = 3, .stride = 2}); };
    CHECK(test::added_gradient_distance(pool, converted<T>(randn<float>(shape, 1))) <=
          test::device_tolerance<T>);
  }
}

TEST_CASE("of equal values the first has the gradient of max_pool2d, and a NaN wins, on the device") {
  auto x = zeros<float>({1, 4, 4, 4});
  x.at({0, 3, 2, 1}) = std::nanf("");
  auto there = x.to(Device::cuda());
  there.set_requires_grad();
  const auto y = max_pool2d(there, {.kernel = 2});
  backward(y, ones<float>(y.shape(), Device::cuda()));
  const auto values = y.to(Device::cpu()), dx = there.grad().to(Device::cpu());
  for (Index i = 0; i < values.size(); ++i) CHECK(std::isnan(values.data()[i]) == (i == 13));
  for (Index h = 0; h < 4; ++h)
    for (Index w = 0; w < 4; ++w)
      for (Index c = 0; c < 4; ++c) {
        const bool in_nan_window = h >= 2 && w >= 2 && c == 1;
        CHECK(dx.at({0, h, w, c}) == (in_nan_window ? h == 3 && w == 2 : h % 2 == 0 && w % 2 == 0));
      }
}
