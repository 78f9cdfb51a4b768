// SPDX-License-Identifier: MIT
// Trains a GA-ResNet-29 (Ryu et al., ICCV 2023, section B) on images of 32 x 32 pixels.
//   train_ga_resnet --data fashion_mnist --folder fashion_mnist/ --epochs 2
#include <cstdio>

#include "gram/gram.hpp"
#include "options.hpp"

using namespace gram;

/// T is what activations and weights are made of.
template <Scalar T>
void train_network(const examples::Options& o, Device device) {
  // Data: photographs are cropped and mirrored at random.
  const Dataset train_set = open_dataset(o.data, o.folder, Split::train, {.count = 10000});
  const Dataset test_set = open_dataset(o.data, o.folder, Split::test, {.count = 10000});
  const ChannelStatistics statistics = channel_statistics(train_set.images);
  Loader<T> train_loader(
      train_set,
      {.batch = o.batch,
       .shuffle = true,
       .seed = o.seed,
       .smallest = 2,  // a batch norm in the heads cannot learn from one image
       .transform = {.pad = o.photographs() ? 4 : 0, .flip = o.photographs(), .normalize = statistics}});
  Loader<T> test_loader(test_set, {.batch = 250, .transform = {.normalize = statistics}});

  // Model: a ResNet whose block outputs are aggregated for each of the Gramian heads.
  Rng rng(o.seed);
  GaCifar<T> model({.classes = train_set.classes, .heads = o.heads}, rng);
  std::printf("GA-ResNet-29, %lld heads, %.2f M parameters; %s: %lld + %lld images, %lld classes\n",
              static_cast<long long>(o.heads), 1e-6 * static_cast<double>(parameter_count(model)),
              train_set.name.c_str(), static_cast<long long>(train_set.size()),
              static_cast<long long>(test_set.size()), static_cast<long long>(train_set.classes));
  move_to(model, device);

  // Optimiser: Nesterov momentum, one cycle of the learning rate; no decay on biases and norms.
  Sgd<T> optimizer(named_parameters<T>(model),
                   {.lr = o.learning_rate, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  const Index steps = o.steps ? std::min(o.steps, train_loader.batches()) : train_loader.batches();
  const OneCycleSchedule schedule{.max_lr = o.learning_rate, .total_steps = o.epochs * steps};

  // Loss: cross-entropy of every head; lambda < 0 pushes the heads away from their mean prediction.
  const auto loss = [&](const std::vector<Tensor<float>>& logits, const Batch<T>& batch) {
    return gramian_loss(logits, batch.labels, {.lambda = o.lambda});
  };

  // A training that is killed goes on from its last state, and with the log whose checksum that has.
  TrainingSettings settings = o.settings(train_set);
  examples::claim_files(o);
  const Index done = o.resume ? load_training_state(model, optimizer, o.checkpoint, settings) : 0;
  CsvLog log = examples::open_log(o, done);
  const auto save = [&](Index epochs) {
    settings["log"] = log.checksum();
    if (!o.checkpoint.empty()) save_training_state(model, optimizer, epochs, o.checkpoint, settings);
  };
  save(done);  // before the first epoch, which may be the one that is killed
  Progress progress;
  for (Index epoch = done + 1; epoch <= o.epochs; ++epoch) {
    const Meter seen = train_epoch(model, train_loader, optimizer, loss, schedule,
                                   {.epoch = epoch,
                                    .epochs = o.epochs,
                                    .max_steps = o.steps,
                                    .progress = &progress,
                                    .graphs = o.graphs});
    const Meter test = evaluate(model, test_loader, o.graphs);
    log.row({static_cast<double>(epoch), seen.loss(), seen.accuracy(), test.loss(), test.accuracy()});
    std::printf("epoch %lld: test loss %.4f, test accuracy %.2f %%\n", static_cast<long long>(epoch),
                test.loss(), 100 * test.accuracy());
    std::fflush(stdout);
    save(epoch);
  }
}

int main(int argc, char** argv) try {
  const examples::Options o =
      examples::parse(argc, argv, "Trains a GA-ResNet-29 on images of 32 x 32 pixels.",
                      {.program = "train_ga_resnet", .epochs = 10, .learning_rate = 0.1});
  if (o.threads) set_threads(o.threads);
  if (o.precision == "bf16") set_product_precision(Precision::bf16), set_tf32(true);
  const Device device = parse_device(o.device);
  examples::for_network_type(o, [&]<class T>() { train_network<T>(o, device); });
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
