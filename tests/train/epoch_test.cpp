// SPDX-License-Identifier: MIT
#include "gram/train/epoch.hpp"

#include "gram/data/textures.hpp"
#include "gram/loss/gramian_loss.hpp"
#include "gram/models/ga_cifar.hpp"
#include "gram/models/ga_vit.hpp"
#include "gram/optim/adamw.hpp"
#include "gram/optim/sgd.hpp"
#include "support.hpp"

using namespace gram;

namespace {

const auto gramian = [](const std::vector<Tensor<float>>& logits, const Batch<float>& batch) {
  return gramian_loss(logits, batch.labels, {.lambda = -0.8});
};
const auto constant = [](Index) { return 0.05; };

GaCifar<float> small_network(std::uint64_t seed) {
  Rng rng(seed);
  return GaCifar<float>({.classes = 4, .heads = 2, .trunk = {.blocks = 1}, .dim = 32}, rng);
}

LoaderOptions shuffled(Index batch) {
  return {.batch = batch, .shuffle = true, .seed = 3, .workers = 2, .transform = {.pad = 2, .flip = true}};
}

/// Losses of 12 steps, and the parameters behind them.
std::vector<float> loss_curve(int threads_used) {
  const int before = threads();
  set_threads(threads_used);
  GaCifar<float> model = small_network(1);
  Loader<float> loader(make_textures({.classes = 4, .count = 48, .size = 32}), shuffled(16));
  Sgd<float> optimizer(named_parameters<float>(model),
                       {.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  std::vector<float> curve;
  const auto noted = [&](const std::vector<Tensor<float>>& logits, const Batch<float>& batch) {
    const Tensor<float> loss = gramian(logits, batch);
    curve.push_back(loss.item());
    return loss;
  };
  for (Index epoch = 1; epoch <= 4; ++epoch)
    train_epoch(model, loader, optimizer, noted, constant, {.epoch = epoch, .epochs = 4, .max_norm = 5});
  for_each_parameter(model, [&](const std::string&, const auto& p) {
    curve.insert(curve.end(), p.data(), p.data() + p.size());
  });
  set_threads(before);
  return curve;
}

}  // namespace

TEST_CASE("one seed gives the same losses and weights, to the bit, with one thread and with two") {
  const std::vector<float> one = loss_curve(1), two = loss_curve(2);
  REQUIRE(one.size() == two.size());
  CHECK(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) == 0);
  CHECK(one[11] < one[0]);
}

TEST_CASE("after the first step, 500 steps of training ask the system for no memory and hold no more of it") {
  GaCifar<float> model = small_network(2);
  Loader<float> loader(make_textures({.classes = 4, .count = 4, .size = 32}), shuffled(2));
  Sgd<float> optimizer(named_parameters<float>(model), {.lr = 1e-3, .momentum = 0.9});
  const auto epoch = [&](Index number) {
    train_epoch(model, loader, optimizer, gramian, constant, {.epoch = number, .epochs = 251});
  };
  epoch(1);
  const MemoryStats before = memory_stats();
  for (Index number = 2; number <= 251; ++number) epoch(number);
  const MemoryStats after = memory_stats();
  CHECK(after.system_requests == before.system_requests);
  CHECK(after.in_use == before.in_use);
  CHECK(after.peak == before.peak);
  CHECK(after.allocations > before.allocations + 500 * 50);  // the counter counts
}

TEST_CASE("the same holds for a transformer with AdamW") {
  Rng rng(1);
  GaVit<float> model(
      {.classes = 4,
       .heads = 2,
       .trunk =
           {.size = 32, .patch = 8, .channels = 32, .depth = 2, .heads = 2, .drop = 0.1, .drop_path = 0.1},
       .gram_dim = 8,
       .embedding_groups = 4,
       .embed = 8},
      rng);
  Loader<float> loader(make_textures({.classes = 4, .count = 4, .size = 32}), shuffled(2));
  AdamW<float> optimizer(named_parameters<float>(model), {.lr = 1e-3});
  train_epoch(model, loader, optimizer, gramian, constant, {.max_norm = 1});
  const MemoryStats before = memory_stats();
  for (Index number = 2; number <= 20; ++number)
    train_epoch(model, loader, optimizer, gramian, constant, {.epoch = number, .max_norm = 1});
  CHECK(memory_stats().system_requests == before.system_requests);
  CHECK(memory_stats().in_use == before.in_use);
}

TEST_CASE("evaluation uses running statistics, leaves them alone, and does not depend on the batch") {
  GaCifar<float> model = small_network(3);
  const Dataset data = make_textures({.classes = 4, .count = 10, .size = 32});
  Loader<float> all(data, {.batch = 10}), few(data, {.batch = 3});
  const Tensor<float> statistics = model.trunk.bn1.running_mean.clone();
  const Meter a = evaluate(model, all), b = evaluate(model, few);
  CHECK(a.accuracy() == b.accuracy());
  CHECK(a.loss() == doctest::Approx(b.loss()).epsilon(1e-6));
  CHECK(test::identical(statistics, model.trunk.bn1.running_mean.detach()));
  CHECK(model.trunk.bn1.mode.training);
}

TEST_CASE("evaluation leaves a model in the mode it was in, also when it fails") {
  GaCifar<float> model = small_network(3);
  Loader<float> fits(make_textures({.classes = 4, .count = 4, .size = 32}));
  Dataset gray = make_textures({.classes = 4, .count = 4, .size = 32});
  gray.images = zeros<std::uint8_t>({4, 32, 32, 1});
  Loader<float> fails(gray);
  for (const auto& mode : {+[](GaCifar<float>& m) { train(m); }, +[](GaCifar<float>& m) { eval(m); },
                           +[](GaCifar<float>& m) { fuse_for_inference(m); }}) {
    mode(model);
    const bool training = model.trunk.bn1.mode.training, fused = model.trunk.conv1.weight.fused;
    evaluate(model, fits);
    CHECK(model.trunk.bn1.mode.training == training);
    CHECK(model.trunk.conv1.weight.fused == fused);
    CHECK(test::error_of([&] { evaluate(model, fails); }).find("channels") != std::string::npos);
    CHECK(model.trunk.bn1.mode.training == training);
    CHECK(model.trunk.conv1.weight.fused == fused);
  }
}

TEST_CASE("what an epoch is given runs behind each of its updates") {
  GaCifar<float> model = small_network(1);
  Loader<float> loader(make_textures({.classes = 4, .count = 12, .size = 32}), shuffled(4));
  Sgd<float> optimizer(named_parameters<float>(model), {.lr = 0.05});
  const Tensor<float> weight = model.trunk.conv1.weight.detach();
  std::vector<float> seen{weight.data()[0]};
  train_epoch(model, loader, optimizer, gramian, constant,
              {.after_update = [&] { seen.push_back(weight.data()[0]); }});
  REQUIRE(seen.size() == 4);
  for (std::size_t i = 1; i < 4; ++i) CHECK(seen[i] != seen[i - 1]);
}

TEST_CASE("an epoch can be cut short") {
  GaCifar<float> model = small_network(4);
  Loader<float> loader(make_textures({.classes = 4, .count = 12, .size = 32}), shuffled(4));
  Sgd<float> optimizer(named_parameters<float>(model), {.lr = 1e-3});
  CHECK(train_epoch(model, loader, optimizer, gramian, constant, {.max_steps = 2}).images() == 8);
}
