// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

template <Scalar T, class F>
void check_resampling(const Shape& shape, const F& f) {
  CAPTURE(to_text(shape));
  const auto inputs = test::random_inputs<T>({shape});
  CHECK(test::device_distance<T>([&](const std::vector<Tensor<T>>& in) { return f(in[0]); }, inputs) <=
        test::device_tolerance<T>);
  CHECK(test::added_gradient_distance<T>(f, inputs[0]) <= test::device_tolerance<T>);
}

}  // namespace

TEST_CASE_TEMPLATE("resizing is that of the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 7, 8}, Shape{1, 8, 3, 5}, Shape{0, 4, 4, 8}})
    for (const Pair size : {Pair(1, 1), Pair(3, 4), Pair(5, 7), Pair(17, 13)})
      for (const ResizeOptions& options : {ResizeOptions{}, ResizeOptions{.mode = ResizeMode::nearest},
                                           ResizeOptions{.align_corners = true}})
        check_resampling<T>(shape, [&](const Tensor<T>& x) { return resize(x, size, options); });
}

TEST_CASE_TEMPLATE("average pools are those of the CPU", T, float, double, bf16) {
  const std::vector<PoolOptions> options{
      {.kernel = 2},
      {.kernel = 3, .stride = 2, .padding = 1},
      {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false},
      {.kernel = 1, .stride = 3},
      {.kernel = 6, .stride = 1, .padding = 2}};
  for (const Shape& shape : {Shape{2, 6, 7, 8}, Shape{1, 8, 7, 3}})
    for (const PoolOptions& o : options)
      check_resampling<T>(shape, [&](const Tensor<T>& x) { return avg_pool2d(x, o); });
  for (const Shape& shape : {Shape{2, 9, 7, 40}, Shape{3, 14, 14, 3}, Shape{1, 2, 3, 2048}}) {
    check_resampling<T>(shape, [](const Tensor<T>& x) { return adaptive_avg_pool2d(x, {3, 2}); });
    check_resampling<T>(shape, [](const Tensor<T>& x) { return adaptive_avg_pool2d(x, {1, 1}); });
    check_resampling<T>(shape, [](const Tensor<T>& x) { return global_avg_pool(x); });
  }
}
