// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

struct NormCase {
  Shape shape;
  bool training, relu, residual, affine;
};

// One channel, channels with and without whole packs, several blocks of channels, more rows than a thread
// takes at once, no rows.
const std::vector<NormCase> norm_cases{
    {{2, 1}, true, false, false, true},        {{5, 3}, true, true, true, true},
    {{4, 3, 2, 3}, true, true, false, true},   {{3, 7, 10}, true, false, true, true},
    {{2, 9, 9, 16}, true, true, true, true},   {{3, 2056}, true, true, true, true},
    {{2, 60, 60, 8}, true, true, false, true}, {{2, 2, 2, 2, 5}, true, true, true, false},
    {{1, 4}, false, true, true, true},         {{3, 5, 3}, false, false, false, true},
    {{2, 3, 3, 24}, false, true, false, true}, {{2, 3, 3, 24}, false, true, true, false},
    {{0, 16}, false, true, true, true}};

}  // namespace

TEST_CASE_TEMPLATE("batch_norm and its gradients are those of the CPU", T, float, double, bf16) {
  using A = accum_t<T>;
  for (const NormCase& c : norm_cases) {
    CAPTURE(to_text(c.shape));
    const Index C = c.shape[-1];
    const auto norm = [&](const std::vector<Tensor<T>>& in) {
      const Device device = in[0].device();
      const auto weight = c.affine ? cast<A>(in[1]) : Tensor<A>{};
      const auto bias = c.affine ? cast<A>(in[2]) : Tensor<A>{};
      return batch_norm(in[0], weight, bias, full<A>({C}, A(0.1), device), full<A>({C}, A(0.7), device),
                        {.training = c.training, .relu = c.relu}, c.residual ? in[3] : Tensor<T>{});
    };
    auto inputs = test::random_inputs<T>({c.shape, {C}, {C}, c.shape});
    if (!c.residual) inputs.pop_back();
    CHECK(test::device_distance<T>(norm, inputs) <= 2 * test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("the residual of batch_norm may be its input", T, float, bf16) {
  const auto norm = [](const std::vector<Tensor<T>>& in) {
    return batch_norm<T>(in[0], {}, {}, {}, {}, {.relu = true}, in[0]);
  };
  CHECK(test::device_distance<T>(norm, test::random_inputs<T>({{3, 4, 8}})) <= test::device_tolerance<T>);
}

TEST_CASE_TEMPLATE("batch_norm adds to gradients as on the CPU", T, float, bf16) {
  for (const Shape& shape : {Shape{5, 40}, Shape{3, 11}}) {
    const auto norm = [](const Tensor<T>& x) { return batch_norm<T>(x, {}, {}, {}, {}, {}, x); };
    CHECK(test::added_gradient_distance(norm, converted<T>(randn<float>(shape, 1))) <=
          test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("statistics of values far from zero keep their digits on the device", T, float, double) {
  const auto x = generate<T>({500, 24}, [](Index i) {
    return 1000.0 * static_cast<double>(i % 24) + RandomKey{3, 0}.normal(static_cast<std::uint64_t>(i));
  });
  const auto run = [&](Device device) {
    const auto mean = zeros<T>({24}, device), var = zeros<T>({24}, device);
    (void)batch_norm<T>(x.to(device), {}, {}, mean, var, {.momentum = 1});
    return std::pair(mean.to(Device::cpu()), var.to(Device::cpu()));
  };
  const auto [mean, var] = run(Device::cuda());
  const auto [expected_mean, expected_var] = run(Device::cpu());
  CHECK(test::distance(mean, expected_mean) <= 1e-7);
  CHECK(test::distance(var, expected_var) <= (std::is_same_v<T, float> ? 3e-6 : 1e-12));
  CHECK(test::identical(run(Device::cuda()).second, var));
}

TEST_CASE("a NaN in one channel of batch_norm stays in it") {
  auto x = randn<float>({6, 8}, 1);
  x.data()[3] = std::nanf("");
  const auto y = batch_norm<float>(x.to(Device::cuda()), {}, {}, {}, {}, {.relu = true}).to(Device::cpu());
  for (Index i = 0; i < y.size(); ++i) CHECK(std::isnan(y.data()[i]) == (i % 8 == 3));
}
