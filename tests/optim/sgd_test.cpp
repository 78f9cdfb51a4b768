// SPDX-License-Identifier: MIT
#include "gram/optim/sgd.hpp"

#include "gram/nn/linear.hpp"
#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"
#include "quadratic.hpp"

using namespace gram;

namespace {

// python3 tests/optim/reference.py
const std::initializer_list<double> plain{-0.16130772776338795, 0.31607264679250946,   0.5028572875310661,
                                          0.2273172571587565,   0.09766927617910974,   -0.11379513101326236,
                                          -0.22063681954517503, -0.12462603370607912,  0.04461172150079755,
                                          -0.14033378109926614, -0.19625705253905387,  -0.07174249496020497,
                                          0.07668822683965598,  -0.015898623360035325, -0.03805271093071773};
const std::initializer_list<double> momentum{
    -0.6961872846361606,  0.2673152815171612,    0.9850494106311867,  0.7971336543990035,
    0.7953526700252422,   -0.5640003523514708,   -1.4048140517971281, -0.9540481906524351,
    -0.3454374346259113,  0.4800132930603182,    0.8641420128016091,  0.45378255116817195,
    0.040987002267710654, -0.019495572513827105, -0.1543192701475813};
const std::initializer_list<double> nesterov{
    -0.8786445782114907,    0.3704638352749721,   1.2789695070911353,   1.0115965123577846,
    1.173245449117394,      -0.4839220583764701,  -1.6961738571199216,  -1.3489712339338293,
    -0.6451165429572059,    0.28925177089321535,  0.9576833405373003,   0.7456252634743968,
    -0.0076324071138888245, -0.04208433724732928, -0.017203085035878665};
const std::initializer_list<double> groups{0.12122713884961706,  0.40536914821027553,  0.31681663216201406,
                                           -0.06301563442124683, -0.17266589124323814, -0.10099510167517846,
                                           0.06353011861026596,  0.16964604082958457,  0.10883451931210907,
                                           -0.26338625434143487, -0.3934509204214084,  -0.16177862475782262,
                                           0.04368677238397444,  0.027806835725364208, 0.03738603758814762};

template <Scalar T>
double error(const typename Sgd<T>::Options& options, const std::initializer_list<double>& expected) {
  const test::Quadratic<T> network;
  Sgd<T> optimizer(network.parameters(), options);
  return test::distance(converted<double>(network.train(optimizer)), Tensor<double>({15}, expected));
}

}  // namespace

TEST_CASE("Sgd makes 20 steps as PyTorch does") {
  CHECK(error<double>({.lr = 0.1}, plain) < 1e-14);
  CHECK(error<double>({.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01, .dampening = 0.5}, momentum) <
        1e-14);
  CHECK(error<double>({.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}, nesterov) <
        1e-14);
  CHECK(error<float>({.lr = 0.1}, plain) < 1e-6);
  CHECK(error<float>({.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01, .dampening = 0.5}, momentum) < 1e-6);
  CHECK(error<float>({.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}, nesterov) < 1e-6);
  CHECK(error<bf16>({.lr = 0.1}, plain) < 2e-2);
}

TEST_CASE("by default only parameters of two or more axes decay, and factors make groups") {
  const test::Quadratic<double> network;
  Sgd<double> optimizer(
      {{{.name = "weight", .value = network.weight}, {.name = "bias", .value = network.bias}}},
      {.lr = 0.05, .weight_decay = 0.1});
  CHECK(test::close(network.train(optimizer), groups, 1e-14));

  const test::Quadratic<double> slow;
  auto parameters = ParameterList<double>(slow.parameters());
  parameters.for_each([](auto& p) {
    if (p.name == "bias") p.lr_factor = 0;
  });
  Sgd<double> half(parameters, {.lr = 0.1});
  const auto before = slow.bias.clone();
  slow.train(half);
  CHECK(test::identical(slow.bias.detach(), before));
}

TEST_CASE("bf16 parameters are updated in float: steps below their precision add up") {
  Tensor<bf16> w = full<bf16>({40}, bf16(1.0F));
  w.set_requires_grad();
  Sgd<bf16> optimizer({{{.name = "w", .value = w}}}, {.lr = 1e-4});
  w.gradient().add(full<bf16>({40}, bf16(1.0F)));
  for (int step = 0; step < 1000; ++step) optimizer.step();
  CHECK(test::distance(converted<float>(w.detach()), full<float>({40}, 0.9F)) < 4e-3);
}

TEST_CASE("an optimiser's state can be read by name and restored") {
  const test::Quadratic<double> network, again;
  const Sgd<double>::Options options{.lr = 0.05, .momentum = 0.9};
  Sgd<double> first(network.parameters(), options), second(again.parameters(), options);
  network.train(first);
  const auto from = first.state(), to = second.state();
  REQUIRE(from.tensors.size() == 2);
  CHECK(from.tensors[0].first == "weight.momentum_buffer");
  CHECK(from.steps[0].second.item() == 20);
  CHECK(from.steps[1].first == "bias.step");
  CHECK(from.steps[1].second.item() == 17);
  for (std::size_t i = 0; i < 2; ++i) {
    std::copy_n(from.tensors[i].second.data(), from.tensors[i].second.size(), to.tensors[i].second.data());
    to.steps[i].second.data()[0] = from.steps[i].second.item();
  }
  std::copy_n(network.weight.data(), 12, again.weight.data());
  std::copy_n(network.bias.data(), 3, again.bias.data());
  CHECK(test::identical(network.train(first), again.train(second)));
}

TEST_CASE("a step of Sgd gives the same bits on one thread and two") {
  CHECK(test::same_for_any_threads([] {
    Tensor<float> w = randn<float>({300, 701}, 1);
    w.set_requires_grad();
    Sgd<float> optimizer({{{.name = "w", .value = w}}}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1});
    w.gradient().add(randn<float>({300, 701}, 2));
    optimizer.step(), optimizer.step();
    return std::vector{w.detach()};
  }));
}

TEST_CASE("Sgd says what does not fit") {
  CHECK(test::error_of([] { Sgd<float>({}, {.lr = -1}); }) ==
        "Sgd: lr is -1, momentum 0, weight_decay 0, but none may be negative");
  CHECK(test::error_of([] { Sgd<float>({}, {.nesterov = true}); }) ==
        "Sgd: nesterov is set, but momentum is 0 and dampening 0; it needs momentum and no dampening");
  CHECK(test::error_of([] { Sgd<float>({}, {.dampening = NAN}); }) ==
        "Sgd: dampening is nan; it must be between 0 and 1");
  CHECK(test::error_of([] { Sgd<float>({}, {}).set_lr(-1); }) ==
        "Optimizer: lr is -1; a number from 0 is needed");
}

TEST_CASE("a step without any gradient is an error, one without parameters is not") {
  const test::Quadratic<float> network;
  Sgd<float> optimizer(network.parameters(), {.lr = 0.1});
  CHECK(test::error_of([&] { optimizer.step(); }) ==
        "Optimizer: none of the 2 parameters has a gradient; run backward() before the step, and make the "
        "optimiser after the model was moved");
  Sgd<float> none(std::vector<NamedParameter<float>>{}, {.lr = 0.1});
  none.step();
}

TEST_CASE("a graph is not walked with parameters that a step has changed since") {
  const Tensor<float> w = ones<float>({2}).set_requires_grad();
  Sgd<float> optimizer(std::vector<NamedParameter<float>>{{"w", w}}, {.lr = 0.1});
  const Tensor<float> y = mul(w, w);
  backward(y, ones<float>({2}), {.retain_graph = true});
  optimizer.step();
  CHECK(test::error_of([&] { backward(y, ones<float>({2})); }) ==
        "backward: mul was computed with parameters that an optimiser has changed since; compute it again");
}

TEST_CASE("what was prepared for inference is made anew after a step") {
  Rng rng(1);
  Linear<float> layer({.in = 3, .out = 4}, rng);
  const auto x = randn<float>({2, 3}, 1);
  Sgd<float> optimizer(named_parameters<float>(layer), {.lr = 0.5});
  fuse_for_inference(layer);
  const auto inferred = [&] {
    const NoGrad off;
    return layer(x);
  };
  inferred();
  backward(layer(x), ones<float>({2, 4}));
  optimizer.step();
  CHECK(test::close(inferred(), linear(x, layer.weight, layer.bias).detach(), 1e-6));
}
