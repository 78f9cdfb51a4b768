// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

template <Scalar T>
std::vector<Tensor<accum_t<T>>> covariance_on(Device where, const Tensor<T>& x) {
  using A = accum_t<T>;
  const Tensor<T> there = x.to(where);
  Tensor<A> mean({x.dim(1)}, where), result({x.dim(1), x.dim(1)}, where);
  on(where, [&](auto device) {
    kernels::covariance(device, there.data(), x.dim(0), x.dim(1), mean.data(), result.data());
  });
  return {mean.to(Device::cpu()), result.to(Device::cpu())};
}

}  // namespace

TEST_CASE_TEMPLATE("means and covariances of columns are those of the CPU", T, float, double, bf16) {
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-12 : 5e-6;  // of bf16, too: sums are float
  for (const Shape& shape : {Shape{1, 3}, {2, 1}, {33, 5}, {70, 16}, {300, 40}, {31, 264}, {4000, 8}}) {
    CAPTURE(to_text(shape));
    const auto x = converted<T>(randn<float>(shape, 1));
    const auto found = covariance_on(Device::cuda(), x), expected = covariance_on(Device::cpu(), x);
    CHECK(test::distance(found[0], expected[0]) <= tolerance);
    CHECK(test::distance(found[1], expected[1]) <= tolerance);
    CHECK(test::identical(found[1], covariance_on(Device::cuda(), x)[1]));
  }
}

TEST_CASE_TEMPLATE("columns far from zero keep the digits of their covariance on the device", T, float,
                   bf16) {
  constexpr double far = std::is_same_v<T, bf16> ? 60 : 1000;  // bf16 has little left of a column at 1000
  const auto x = generate<T>({500, 24}, [](Index i) {
    return far * static_cast<double>(i % 24) / 24 + RandomKey{3, 0}.normal(static_cast<std::uint64_t>(i));
  });
  const auto found = covariance_on(Device::cuda(), x);
  const auto exact = covariance_on(Device::cpu(), converted<double>(x));
  CHECK(test::distance(converted<double>(found[0]), exact[0]) <= 2e-7 * far);
  CHECK(test::distance(converted<double>(found[1]), exact[1]) <= (std::is_same_v<T, bf16> ? 3e-5 : 3e-6));
}
