// SPDX-License-Identifier: MIT
// Networks of bf16 with a float optimiser, as the trainers make them with --device cuda --precision bf16:
// held against networks of float, stopped and resumed.
#include <cstdio>

#include "both_devices.hpp"
#include "tiny_networks.hpp"

using namespace gram;
using test::tiny_resnet;
using test::tiny_vit;

namespace {

constexpr Index all_epochs = 2;

/// A training on the device: model, loader, optimiser, and what has been seen.
template <Scalar T, template <class> class Method, class Model>
struct Training {
  Training(Model made, const typename Method<T>::Options& options)
      : model(std::move(made)),
        loader(make_textures({.classes = 5, .count = 20, .size = 16}),
               {.batch = 8, .shuffle = true, .seed = 3}),
        optimizer(named_parameters<T>((move_to(model, Device::cuda()), model)), options) {}

  void train(Index first, Index last, bool graphs) {
    const auto rate = [this](Index step) { return lr / static_cast<double>(1 + step); };
    const auto loss = [&](const std::vector<Tensor<float>>& logits, const Batch<T>& batch) {
      const Tensor<float> value = gramian_loss(logits, batch.labels, {.lambda = -0.8});
      if (!graphs) losses.push_back(static_cast<double>(value.item()));
      return value;
    };
    for (Index epoch = first; epoch <= last; ++epoch) {
      const Meter seen = train_epoch(model, loader, optimizer, loss, rate,
                                     {.epoch = epoch, .epochs = all_epochs, .max_norm = 5, .graphs = graphs});
      losses.push_back(seen.loss());
      losses.push_back(evaluate(model, loader, graphs).loss());
    }
  }
  /// Weights, statistics, and what the optimiser remembers.
  std::vector<double> everything() {
    std::vector<double> all = test::weights_of(model);
    for (const auto& [name, values] : optimizer.state().tensors) {
      const auto here = converted<double>(values.to(Device::cpu()));
      all.insert(all.end(), here.data(), here.data() + here.size());
    }
    return all;
  }

  Model model;
  Loader<T> loader;
  Method<T> optimizer;
  double lr = optimizer.lr();
  std::vector<double> losses;
};

template <Scalar T>
auto resnet_training() {
  return Training<T, Sgd, GaCifar<T>>(tiny_resnet<T>(),
                                      {.lr = 0.02, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
}
template <Scalar T>
auto vit_training(double drop) {
  return Training<T, AdamW, GaVit<T>>(tiny_vit<T>(drop), {.lr = 2e-3, .weight_decay = 0.05});
}

/// The largest relative distance between the losses of two trainings, step by step.
template <class A, class B>
double loss_distance(A rounded, B exact) {
  rounded.train(1, all_epochs, false), exact.train(1, all_epochs, false);
  REQUIRE(rounded.losses.size() == exact.losses.size());
  CHECK(exact.losses.back() < exact.losses[0]);
  double largest = 0;
  for (std::size_t i = 0; i < exact.losses.size(); ++i)
    largest = std::max(largest, std::abs(rounded.losses[i] - exact.losses[i]) / exact.losses[i]);
  CHECK(largest > 0);  // they are not the same network
  return largest;
}

/// One training without a pause against one whose second part begins in another object, from a file.
template <class F>
void check_resume(const F& make, bool graphs) {
  const std::string path = "cuda_training_state.safetensors";
  auto whole = make();
  whole.train(1, all_epochs, graphs);
  {
    auto first = make();
    first.train(1, 1, graphs);
    save_training_state(first.model, first.optimizer, 1, path);
  }
  auto second = make();
  second.train(2, 2, graphs);  // what it has learned meanwhile must not matter
  CHECK(load_training_state(second.model, second.optimizer, path) == 1);
  std::remove(path.c_str());
  second.train(2, all_epochs, graphs);
  CHECK(second.everything() == whole.everything());
  CHECK(second.losses.back() == whole.losses.back());
}

}  // namespace

TEST_CASE("a small GA-ResNet of bf16 has the losses of one of float, but for rounding") {
  CHECK(loss_distance(resnet_training<bf16>(), resnet_training<float>()) < 1e-2);
}

TEST_CASE("a small GA-ViT of bf16 has the losses of one of float, but for rounding") {
  CHECK(loss_distance(vit_training<bf16>(0), vit_training<float>(0)) < 1e-2);
}

TEST_CASE("a training of bf16 that is resumed is one without a pause, to the bit") {
  check_resume([] { return resnet_training<bf16>(); }, false);
  check_resume([] { return vit_training<bf16>(0.2); }, true);
}
