// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

TEST_CASE_TEMPLATE("Gram vectors and their gradients are those of the CPU", T, float, double, bf16) {
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, {2, 3, 2, 5}, {3, 7, 7, 33}, {2, 4, 4, 64}, {1, 2, 3, 70}, {0, 2, 2, 3}}) {
    CAPTURE(shape[3]);
    const auto f = [](const std::vector<Tensor<T>>& x) { return gram_vector(x[0]); };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) <= test::device_tolerance<T>);
    const auto in_double = [](const std::vector<Tensor<T>>& x) {
      return cast<T>(gram_vector(cast<double>(x[0])));
    };
    CHECK(test::device_distance<T>(in_double, test::random_inputs<T>({shape})) <= test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("gradients of Gram vectors are added", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) {
    return matmul(gram_vector(x[0]), gram_vector(x[0]), {.transpose_b = true});
  };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{2, 3, 3, 6}})) <= 2 * test::device_tolerance<T>);
}

TEST_CASE("small norms are replaced by the floor") {
  const auto f = [](const std::vector<Tensor<float>>& x) { return gram_vector(x[0], {.epsilon = 1e3}); };
  CHECK(test::device_distance<float>(f, test::random_inputs<float>({{2, 3, 3, 6}})) <=
        test::device_tolerance<float>);
  const auto zeros_in = gram_vector(zeros<float>({2, 2, 2, 3}, Device::cuda())).to(Device::cpu());
  CHECK(test::identical(zeros_in, zeros<float>({2, 6})));
}

TEST_CASE("NaN of an image stays in its vector") {
  auto x = randn<float>({2, 2, 2, 3}, 1);
  x.at({1, 0, 1, 2}) = std::nanf("");
  const auto y = gram_vector(x.to(Device::cuda())).to(Device::cpu());
  for (Index i = 0; i < 6; ++i) {
    CHECK(std::isfinite(y.at({0, i})));
    CHECK(std::isnan(y.at({1, i})));
  }
}

}  // namespace
