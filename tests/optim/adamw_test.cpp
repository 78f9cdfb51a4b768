// SPDX-License-Identifier: MIT
#include "gram/optim/adamw.hpp"

#include "isa_and_threads.hpp"
#include "quadratic.hpp"

using namespace gram;

namespace {

template <Scalar T>
double error() {
  // python3 tests/optim/reference.py
  const Tensor<double> expected(
      {15}, {0.5427882307752877, 0.6508342357834045, 0.23276511967669913, -0.5010876878969986,
             -0.5818814615471221, -0.21334552730020165, 0.4025459347611921, 0.6368712612943008,
             0.14311232368571752, -0.3697388847799096, -0.698764316482253, -0.23858576095834813,
             0.039290241694906206, 0.09501187964249642, 0.11605412529009328});
  const test::Quadratic<T> network;
  AdamW<T> optimizer(network.parameters(),
                     {.lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1});
  return test::distance(converted<double>(network.train(optimizer)), expected);
}

}  // namespace

TEST_CASE("AdamW makes 20 steps as PyTorch does") {
  CHECK(error<double>() < 1e-14);
  CHECK(error<float>() < 1e-6);
  CHECK(error<bf16>() < 2e-2);
}

TEST_CASE("AdamW follows the learning rate it is given") {
  const test::Quadratic<double> network;
  AdamW<double> optimizer(network.parameters(), {.lr = 0.02});
  optimizer.set_lr(0);
  CHECK(optimizer.lr() == 0);
  const auto before = network.weight.clone();
  network.train(optimizer);
  CHECK(test::identical(network.weight.detach(), before));
}

TEST_CASE("AdamW keeps both moments of every parameter, and a master copy of bf16 ones") {
  const test::Quadratic<bf16> network;
  const auto state = AdamW<bf16>(network.parameters(), {}).state();
  REQUIRE(state.tensors.size() == 6);
  CHECK(state.tensors[0].first == "weight.master");
  CHECK(state.tensors[4].first == "bias.exp_avg");
  CHECK(state.tensors[5].first == "bias.exp_avg_sq");
  CHECK(state.tensors[1].second.shape() == Shape{3, 4});
}

TEST_CASE("bf16 networks may have float parameters") {
  Tensor<bf16> w = ones<bf16>({2, 2});
  Tensor<float> scale = ones<float>({2});
  w.set_requires_grad(), scale.set_requires_grad();
  ParameterList<bf16> list;
  list.add(NamedParameter<bf16>{"w", w});
  list.add(NamedParameter<float>{"scale", scale});
  AdamW<bf16> optimizer(list, {.lr = 0.5});
  scale.gradient().add(ones<float>({2}));
  optimizer.step();
  CHECK(test::close(scale.detach(), {0.5F, 0.5F}, 1e-6));
  CHECK(static_cast<float>(w.data()[0]) == 1);
}

TEST_CASE(
    "a step of AdamW gives the same bits on one thread and two, and nearly the same with every instruction "
    "set") {
  const auto run = [&] {
    Tensor<float> w = randn<float>({300, 701}, 1);
    w.set_requires_grad();
    AdamW<float> optimizer({{{.name = "w", .value = w}}}, {.lr = 0.1});
    w.gradient().add(randn<float>({300, 701}, 2));
    optimizer.step(), optimizer.step();
    return std::vector{w.detach()};
  };
  CHECK(test::same_for_any_threads(run));
  CHECK(test::isa_spread(run) <= 1e-6);
}

TEST_CASE("AdamW says what does not fit") {
  CHECK(test::error_of([] { AdamW<float>({}, {.beta2 = 1}); }) ==
        "AdamW: beta1 is 0.9 and beta2 1, but both must lie in [0, 1)");
  CHECK(test::error_of([] { AdamW<float>({}, {.epsilon = -1}); }) ==
        "AdamW: lr is 0.001, weight_decay 0.01, epsilon -1, but none may be negative");
}
