// SPDX-License-Identifier: MIT
// Trains a GA-ResNet-29 on several processes, each with its share of every batch; the network they learn is
// that of one process with the whole batch.
//   scripts/launch.py -n 2 build/release/examples/train_parallel --epochs 2
//   mpirun -n 2 build/release/examples/train_parallel --epochs 2                 (built where there is MPI)
//   scripts/launch.py -n 2 build/cuda/examples/train_parallel --device cuda      (a GPU for each)
#include <cstdio>
#include <cstdlib>

#include "gram/gram.hpp"
#include "options.hpp"
#if defined(GRAM_MPI)
#include "gram/train/mpi_communicator.hpp"
#endif

using namespace gram;

/// The processes that scripts/launch.py or mpirun has started; this one alone without them.
std::unique_ptr<Communicator> connect() {
#if defined(GRAM_MPI)
  if (!std::getenv("GRAM_SIZE")) return std::make_unique<MpiCommunicator>();
#endif
  return std::make_unique<SocketCommunicator>();
}

/// Sums of values on a GPU: by NCCL, where the program has it, or through the host.
std::unique_ptr<Communicator> among_gpus(Device device, Communicator& host) {
  if (cuda::make_nccl_communicator) return nccl_communicator(device, host);
  return std::make_unique<StagedCommunicator>(host);
}

/// T is what activations and weights are made of; `communicator` adds up what lies on the device.
template <Scalar T>
void train_network(const examples::Options& o, Device device, Communicator& communicator) {
  const int rank = communicator.rank(), ranks = communicator.size();
  const bool first = rank == 0;
  require<ArgumentError>(o.batch % ranks == 0, "train_parallel: --batch ", o.batch,
                         " cannot be shared out among ", ranks, " processes");

  // Data: all processes have it, and read different parts of each batch. --batch counts the images of all.
  // Photographs are cropped and mirrored at random.
  const Dataset train_set = open_dataset(o.data, o.folder, Split::train, {.count = 10000});
  const Dataset test_set = open_dataset(o.data, o.folder, Split::test, {.count = 10000});
  const ChannelStatistics statistics = channel_statistics(train_set.images);
  Loader<T> train_loader(
      train_set,
      {.batch = o.batch / ranks,
       .shard = rank,
       .shards = ranks,
       .shuffle = true,
       .seed = o.seed,
       .smallest = 2,
       .transform = {.pad = o.photographs() ? 4 : 0, .flip = o.photographs(), .normalize = statistics}});
  Loader<T> test_loader(
      test_set, {.batch = 250, .shard = rank, .shards = ranks, .transform = {.normalize = statistics}});

  // Model: that of rank 0 everywhere, with batch norms over the whole batch.
  Rng rng(o.seed);
  GaCifar<T> model({.classes = train_set.classes, .heads = o.heads}, rng);
  move_to(model, device);
  share_batch_statistics(model, &communicator);
  Sgd<T> optimizer(named_parameters<T>(model),
                   {.lr = o.learning_rate, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  TrainingSettings settings = o.settings(train_set);
  settings["processes"] = std::to_string(ranks);
  const Index done = o.resume ? load_training_state(model, optimizer, o.checkpoint, settings) : 0;
  DataParallel parallel(model, communicator);
  const Index steps = o.steps ? std::min(o.steps, train_loader.batches()) : train_loader.batches();
  const OneCycleSchedule schedule{.max_lr = o.learning_rate, .total_steps = o.epochs * steps};
  const auto loss = [&](const std::vector<Tensor<float>>& logits, const Batch<T>& batch) {
    return gramian_loss(logits, batch.labels, {.lambda = o.lambda});
  };

  if (first)
    std::printf("GA-ResNet-29 on %d processes, %lld images of each batch on every one\n", ranks,
                static_cast<long long>(o.batch / ranks));
  if (first && device != Device::cpu() && o.graphs && !parallel.capturable())
    std::printf("without CUDA graphs: sums go through the host, since this program has no NCCL\n");
  CsvLog log = first ? examples::open_log(o, done) : CsvLog();
  const auto save = [&](Index epochs) {
    settings["log"] = log.checksum();  // a resumed training goes on with this log and no other
    if (first && !o.checkpoint.empty()) save_training_state(model, optimizer, epochs, o.checkpoint, settings);
  };
  save(done);  // before the first epoch, which may be the one that is killed
  Progress progress;
  for (Index epoch = done + 1; epoch <= o.epochs; ++epoch) {
    const Meter seen = train_epoch(model, train_loader, optimizer, loss, schedule,
                                   {.epoch = epoch,
                                    .epochs = o.epochs,
                                    .max_steps = o.steps,
                                    .progress = first ? &progress : nullptr,
                                    .graphs = o.graphs,
                                    .parallel = &parallel});
    const Meter test = evaluate(model, test_loader, o.graphs, &communicator);
    log.row({static_cast<double>(epoch), seen.loss(), seen.accuracy(), test.loss(), test.accuracy()});
    if (first)
      std::printf("epoch %lld: test loss %.4f, test accuracy %.2f %%\n", static_cast<long long>(epoch),
                  test.loss(), 100 * test.accuracy());
    std::fflush(stdout);
    save(epoch);
  }
}

int main(int argc, char** argv) try {
  const examples::Options o =
      examples::parse(argc, argv, "Trains a GA-ResNet-29 on several processes.",
                      {.program = "train_parallel", .epochs = 10, .batch = 128, .learning_rate = 0.1});
  if (o.threads) set_threads(o.threads);
  if (o.precision == "bf16") set_product_precision(Precision::bf16), set_tf32(true);
  const std::unique_ptr<Communicator> host = connect();
  if (host->rank() == 0) examples::claim_files(o);
  host->barrier();  // nobody reads the state before that
  if (o.device == "cpu") return train_network<float>(o, Device::cpu(), *host), 0;

  // Each process of a machine has a GPU of its own.
  Device device = parse_device(o.device);
  if (o.device == "cuda") device = Device::cuda(host->rank() % cuda::runtime->devices());
  const std::unique_ptr<Communicator> gpus = among_gpus(device, *host);
  examples::for_network_type(o, [&]<class T>() { train_network<T>(o, device, *gpus); });
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
