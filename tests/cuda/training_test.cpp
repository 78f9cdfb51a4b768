// SPDX-License-Identifier: MIT
// Whole networks on both devices: losses of a few training steps, inference, captured steps, epochs.
#include "both_devices.hpp"
#include "tiny_networks.hpp"

using namespace gram;
using test::tiny_resnet;
using test::tiny_vit;
using test::weights_of;

namespace {

constexpr Index images_in_batch = 4;

template <Scalar T>
Batch<T> batch_on(Device device, std::uint64_t seed = 1) {
  return {converted<T>(randn<float>({images_in_batch, 16, 16, 3}, seed)).to(device),
          generate<std::int64_t>({images_in_batch}, [](Index i) { return i; }).to(device)};
}

template <class Optimizer, class Model>
Optimizer optimizer_of(Model& model, const typename Optimizer::Options& options) {
  return Optimizer(named_parameters<float>(model), options);
}

template <Scalar T, class Model, class Optimizer>
Tensor<T> step(Model& model, Optimizer& optimizer, const Batch<T>& batch) {
  const Tensor<T> loss = gramian_loss(model(batch.images), batch.labels, {.lambda = -0.8, .smoothing = 0.1});
  optimizer.zero_grad();
  backward(loss);
  (void)clip_gradients(optimizer.parameters(), 5);
  optimizer.step();
  return loss.detach();
}

/// Losses of four steps, and the loss in evaluation after them.
template <Scalar T, class Optimizer, class Model>
std::vector<double> losses(Device device, Model model, const typename Optimizer::Options& options) {
  move_to(model, device);
  CHECK(device_of(model) == device);
  Optimizer optimizer(named_parameters<T>(model), options);
  const Batch<T> batch = batch_on<T>(device);
  std::vector<double> all;
  for (int i = 0; i < 4; ++i) all.push_back(static_cast<double>(step(model, optimizer, batch).item()));
  const NoGrad off;
  eval(model);
  all.push_back(static_cast<double>(gramian_loss(model(batch.images), batch.labels).item()));
  fuse_for_inference(model);
  for (int i = 0; i < 2; ++i)
    all.push_back(static_cast<double>(gramian_loss(model(batch.images), batch.labels).item()));
  return all;
}

template <Scalar T, class Optimizer, class F>
double loss_distance(const F& make, const typename Optimizer::Options& options) {
  const auto here = losses<T, Optimizer>(Device::cpu(), make(), options),
             there = losses<T, Optimizer>(Device::cuda(), make(), options);
  double largest = 0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    CHECK(std::isfinite(there[i]));
    largest = std::max(largest, std::abs(here[i] - there[i]) / std::abs(here[i]));
  }
  CHECK(here[3] < here[0]);
  return largest;
}

TEST_CASE("a small GA-ResNet learns on the device what it learns on the CPU") {
  CHECK(loss_distance<float, Sgd<float>>(
            tiny_resnet<float>, {.lr = 0.02, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4}) <
        1e-4);
}

TEST_CASE("a small GA-ViT with dropout learns on the device what it learns on the CPU") {
  const auto make = [] { return tiny_vit<float>(0.1); };
  CHECK(loss_distance<float, AdamW<float>>(make, {.lr = 2e-3, .weight_decay = 0.05}) < 1e-4);
}

TEST_CASE("a small GA-ViT of bf16 learns on the device what it learns on the CPU") {
  const auto make = [] { return tiny_vit<bf16>(); };
  CHECK(loss_distance<bf16, AdamW<bf16>>(make, {.lr = 2e-3, .weight_decay = 0.05}) < 3e-2);
}

/// Weights after so many steps, and their losses: plain, or one plain step and replays of a captured one.
template <class Optimizer, class Model>
std::vector<double> trained(Model model, const typename Optimizer::Options& options, bool graph, int steps) {
  const Device device = Device::cuda();
  move_to(model, device);
  Optimizer optimizer(named_parameters<float>(model), options);
  const Batch<float> batch = batch_on<float>(device);
  Tensor<float> loss;
  std::vector<double> all;
  const auto run = [&] { loss = step(model, optimizer, batch); };
  cuda::Graph captured;
  for (int i = 0; i < steps; ++i) {
    optimizer.set_lr(options.lr / (1 + i));
    if (graph && i == 1) captured = cuda::capture(device, run);
    captured ? captured.replay() : run();
    all.push_back(static_cast<double>(loss.item()));
  }
  const auto weights = weights_of(model);
  all.insert(all.end(), weights.begin(), weights.end());
  return all;
}

TEST_CASE(
    "five replays of a captured step are five plain steps to the bit, dropout and learning rates included") {
  const AdamW<float>::Options adamw{.lr = 2e-3, .weight_decay = 0.05};
  CHECK(trained<AdamW<float>>(tiny_vit<float>(0.2), adamw, true, 6) ==
        trained<AdamW<float>>(tiny_vit<float>(0.2), adamw, false, 6));
  const Sgd<float>::Options sgd{.lr = 0.02, .momentum = 0.9, .nesterov = true};
  CHECK(trained<Sgd<float>>(tiny_resnet<float>(), sgd, true, 6) ==
        trained<Sgd<float>>(tiny_resnet<float>(), sgd, false, 6));
}

TEST_CASE("replays and plain steps may take turns") {
  const auto run = [](bool graphs) {
    GaVit<float> model = tiny_vit<float>(0.2);
    move_to(model, Device::cuda());
    AdamW<float> optimizer(named_parameters<float>(model), {.lr = 2e-3});
    Repeat<float> repeat(Device::cuda(), graphs);
    const auto train_step = [&](const Batch<float>& batch) { step(model, optimizer, batch); };
    const Batch<float> batch = batch_on<float>(Device::cpu());
    const Batch<float> part{batch.images.alias_rows(0, 2), batch.labels.alias_rows(0, 2)};
    for (const auto* b : {&batch, &batch, &part, &batch, &part, &batch}) repeat(*b, train_step);
    return weights_of(model);
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("an epoch on the device is one on the CPU, with and without graphs") {
  const Dataset data = make_textures({.classes = 5, .count = 26, .size = 16});
  const auto run = [&](Device device, bool graphs) {
    GaVit<float> model = tiny_vit<float>(0.1);
    move_to(model, device);
    Loader<float> loader(data, {.batch = 8, .shuffle = true, .seed = 3});  // the last batch has two images
    AdamW<float> optimizer(named_parameters<float>(model), {.lr = 1e-3});
    const auto loss = [](const std::vector<Tensor<float>>& logits, const Batch<float>& batch) {
      return gramian_loss(logits, batch.labels, {.lambda = -0.8});
    };
    const auto rate = [](Index i) { return 1e-3 / static_cast<double>(1 + i); };
    Ema<float> ema(model, {.decay = 0.75});
    const Meter seen = train_epoch(model, loader, optimizer, loss, rate,
                                   {.max_norm = 1, .graphs = graphs, .after_update = [&] { ema.update(); }});
    const Meter test = evaluate(model, loader, graphs);
    CHECK(seen.images() == 26);
    std::vector<double> all = weights_of(model);
    all.insert(all.begin(),
               {seen.loss(), seen.accuracy(), seen.head_accuracy()[1], test.loss(), test.accuracy()});
    for (const auto& [name, average] : ema.state()) {
      const Tensor<float> here = average.to(Device::cpu());
      all.insert(all.end(), here.span().begin(), here.span().end());
    }
    return all;
  };
  const auto plain = run(Device::cuda(), false), graphs = run(Device::cuda(), true),
             cpu = run(Device::cpu(), true);
  CHECK(plain == graphs);
  REQUIRE(plain.size() == cpu.size());
  CHECK(plain[0] == doctest::Approx(cpu[0]).epsilon(1e-4));
  CHECK(plain[3] == doctest::Approx(cpu[3]).epsilon(1e-4));
  // Where two logits are nearly equal, rounding decides which is the larger: for one image of 26 at most.
  for (const std::size_t accuracy : {1U, 2U, 4U}) CHECK(std::abs(plain[accuracy] - cpu[accuracy]) < 1.5 / 26);
}

TEST_CASE("weights go to a file from the device, and come back to it") {
  const std::string path = "cuda_weights.safetensors";
  GaVit<float> model = tiny_vit<float>();
  const auto before = weights_of(model);
  move_to(model, Device::cuda());
  save_weights(model, path);
  GaVit<float> other = tiny_vit<float>();
  move_to(other, Device::cuda());
  for_each_parameter(other, [](const std::string&, auto& p) {
    on(p.device(), [&](auto device) { kernels::fill(device, p.data(), 0.0F, p.size()); });
  });
  load_weights(other, path);
  std::remove(path.c_str());
  CHECK(device_of(other) == Device::cuda());
  CHECK(weights_of(other) == before);
}

TEST_CASE("layers that share a parameter share it on the device, too") {
  GaVit<float> model = tiny_vit<float>();
  const Index apart = parameter_count(model);
  auto& heads = model.heads.gram->heads;
  heads[1].fc.weight = heads[0].fc.weight;
  move_to(model, Device::cuda());
  CHECK(parameter_count(model) == apart - heads[0].fc.weight.size());
  CHECK(heads[1].fc.weight.autograd() == heads[0].fc.weight.autograd());
}

}  // namespace
