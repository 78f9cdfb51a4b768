// SPDX-License-Identifier: MIT
#include "gram/models/refiner_vit.hpp"

#include "both_devices.hpp"
#include "tiny_networks.hpp"

using namespace gram;

namespace {

/// Weights after so many steps of a small Refiner-ViT that mixes tokens.
std::vector<double> trained(bool graphs, int steps) {
  const Device device = Device::cuda();
  Rng rng(1);
  RefinerVit<float> model({.classes = 5,
                           .dense = true,
                           .mix_tokens = true,
                           .trunk = {.size = 16, .patch = 4, .channels = 16, .depth = 2, .heads = 2}},
                          rng);
  move_to(model, device);
  AdamW<float> optimizer(named_parameters<float>(model), {.lr = 2e-3});
  const auto x = randn<float>({3, 16, 16, 3}, 1).to(device);
  const auto labels = Tensor<std::int64_t>({3}, {4, 0, 2}).to(device);
  const auto step = [&] {
    const auto y = model.outputs(x);
    optimizer.zero_grad();
    backward(token_mixing_loss(y.logits, y.token_logits, y.box, labels));
    optimizer.step();
  };
  cuda::Graph graph;
  for (int i = 0; i < steps; ++i) {
    if (graphs && i == 1) graph = cuda::capture(device, step);
    graph&& i != 4 ? graph.replay() : step();  // plain steps and replays take turns
  }
  CHECK(model.mix_rng.position() == static_cast<std::uint64_t>(3 * steps));
  return test::weights_of(model);
}

}  // namespace

TEST_CASE_TEMPLATE("mixed tokens and their gradients are those of the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{3, 5, 3, 2}, Shape{4, 4, 4, 16}, Shape{1, 2, 2, 8}, Shape{0, 2, 2, 3}})
    for (const TokenBox& box : {TokenBox{0, 0, 2, 2}, TokenBox{1, 0, 2, 1}, TokenBox{0, 1, shape[1], 2}}) {
      const auto f = [&](const std::vector<Tensor<T>>& x) { return mix_tokens(x[0], box); };
      CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) == 0);
      const auto once = [&](const Tensor<T>& x) { return mix_tokens(x, box); };
      CHECK(test::added_gradient_distance(once, converted<T>(randn<float>(shape, 1))) <=
            test::device_tolerance<T>);
    }
}

TEST_CASE_TEMPLATE("the loss of soft targets is that of the CPU, with the gradients of the targets", T, float,
                   double) {
  for (const TokenBox& box : {TokenBox{}, TokenBox{0, 1, 2, 3}, TokenBox{0, 0, 4, 3}}) {
    const auto f = [&](const std::vector<Tensor<T>>& x) {
      return token_mixing_loss(x[0], x[1], box, x[2], {}, {.smoothing = 0.1});
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({{3, 5}, {3, 12, 5}, {3, 5}})) <=
          test::device_tolerance<T>);
  }
}

TEST_CASE("labels are arranged on the device as on the CPU") {
  const auto labels = arange<std::int64_t>(7);
  const auto there = labels.to(Device::cuda());
  CHECK(test::identical(detail::reverse_batch(there).to(Device::cpu()), detail::reverse_batch(labels)));
  CHECK(test::identical(detail::repeat_rows(there, 5).to(Device::cpu()), detail::repeat_rows(labels, 5)));
  CHECK(detail::reverse_batch(labels).data()[0] == 6);
  CHECK(detail::repeat_rows(labels, 5).data()[9] == 1);
}

TEST_CASE("every replay of a captured step mixes another box, that of the plain step in its place") {
  CHECK(trained(true, 7) == trained(false, 7));
}
