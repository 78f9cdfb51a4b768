// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

struct FoldedCase {
  Shape x;  // (N, H, W, K)
  Index out;
  bool training, relu, residual, affine;
};

// Sizes with and without whole packs, products for tiles and for the library, several blocks of rows.
const std::vector<FoldedCase> folded_cases{
    {{2, 1, 3, 1}, 1, true, false, false, true},   {{2, 3, 5, 3}, 12, true, true, true, true},
    {{2, 4, 4, 8}, 32, true, false, true, true},   {{1, 5, 7, 6}, 17, true, true, false, true},
    {{2, 9, 9, 16}, 64, true, true, true, false},  {{1, 1, 1, 4}, 9, false, true, true, true},
    {{2, 3, 3, 8}, 24, false, false, false, true}, {{2, 40, 41, 8}, 16, true, true, true, true}};

}  // namespace

TEST_CASE_TEMPLATE("folded_pointwise_norm and its gradients are those of the CPU", T, float, double, bf16) {
  using A = accum_t<T>;
  for (const FoldedCase& c : folded_cases) {
    CAPTURE(to_text(c.x));
    const auto f = [&](const std::vector<Tensor<T>>& in) {
      const Device device = in[0].device();
      const auto weight = c.affine ? cast<A>(in[2]) : Tensor<A>{};
      const auto bias = c.affine ? cast<A>(in[3]) : Tensor<A>{};
      return folded_pointwise_norm(in[0], in[1], weight, bias, full<A>({c.out}, A(0.1), device),
                                   full<A>({c.out}, A(0.7), device), {.training = c.training, .relu = c.relu},
                                   c.residual ? in.back() : Tensor<T>{});
    };
    auto inputs = test::random_inputs<T>({c.x, {c.out, 1, 1, c.x[-1]}});
    if (c.affine) {
      inputs.push_back(converted<T>(rand<float>({c.out}, 0.5, 1.5, 11)));
      inputs.push_back(converted<T>(randn<float>({c.out}, 12)));
    }
    if (c.residual) inputs.push_back(converted<T>(randn<float>(c.x.with(-1, c.out), 13)));
    CHECK(test::device_distance<T>(f, inputs) <= 4 * test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("folded_pointwise_norm moves the running statistics as on the CPU", T, float, bf16) {
  using A = accum_t<T>;
  const auto x = converted<T>(randn<float>({2, 9, 9, 16}, 1)), w = converted<T>(randn<float>({40, 16}, 2));
  const auto run = [&](Device device) {
    const auto mean = zeros<A>({40}, device), var = ones<A>({40}, device);
    (void)folded_pointwise_norm<T>(x.to(device), w.to(device), {}, {}, mean, var);
    return std::pair(mean.to(Device::cpu()), var.to(Device::cpu()));
  };
  const auto [mean, var] = run(Device::cuda());
  const auto [expected_mean, expected_var] = run(Device::cpu());
  CHECK(test::distance(mean, expected_mean) <= 1e-5);
  CHECK(test::distance(var, expected_var) <= 1e-5);
}

TEST_CASE("folded_pointwise_norm can be captured") {
  Tensor<float> x = randn<float>({2, 5, 5, 8}, 1).to(Device::cuda());
  Tensor<float> w = randn<float>({32, 8}, 2).to(Device::cuda());
  w.set_requires_grad();
  const auto mean = zeros<float>({32}, Device::cuda()), var = ones<float>({32}, Device::cuda());
  const auto dz = randn<float>({2, 5, 5, 32}, 3).to(Device::cuda());
  const auto step = [&] {
    w.zero_grad();
    backward(folded_pointwise_norm<float>(x, w, {}, {}, mean, var, {.relu = true}), dz);
  };
  step();
  const auto once = w.grad().to(Device::cpu()), after_one = mean.to(Device::cpu());
  cuda::Graph graph = cuda::capture(Device::cuda(), step);
  graph.replay();
  CHECK(test::identical(w.grad().to(Device::cpu()), once));
  CHECK(test::distance(mean.to(Device::cpu()), mul(after_one, 1.9)) <= 1e-5);
}
