// SPDX-License-Identifier: MIT
// Run by a launcher: several_processes equal|die. See tests/scripts/launch_test.py.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gram/gram.hpp"
#if defined(GRAM_MPI)
#include "gram/train/mpi_communicator.hpp"
#endif

using namespace gram;

namespace {

std::unique_ptr<Communicator> connect() {
#if defined(GRAM_MPI)
  if (!std::getenv("GRAM_SIZE")) return std::make_unique<MpiCommunicator>();
#endif
  return std::make_unique<SocketCommunicator>();
}

template <Scalar T>
GaCifar<T> resnet(std::uint64_t seed) {
  Rng rng(seed);
  return GaCifar<T>({.classes = 4, .heads = 2, .trunk = {.blocks = 1}, .dim = 32}, rng);
}
template <Scalar T>
GaVit<T> vit(std::uint64_t seed) {
  Rng rng(seed);
  return GaVit<T>({.classes = 4,
                   .heads = 2,
                   .trunk = {.size = 32, .patch = 8, .channels = 32, .depth = 2, .heads = 4},
                   .gram_dim = 16,
                   .embedding_groups = 8,
                   .embed = 8},
                  rng);
}

/// Five steps on batches of `whole` images and one of what is left, and the model behind them. Processes
/// begin with different weights; those of rank 0 count.
template <Scalar T, class Model>
Model trained(Model model, Index whole, Communicator& communicator) {
  const Dataset data = make_textures({.classes = 4, .count = 4 * whole + 7});
  Loader<T> loader(data, {.batch = whole / communicator.size(),
                          .shard = communicator.rank(),
                          .shards = communicator.size(),
                          .shuffle = true,
                          .seed = 3,
                          .transform = {.pad = 2, .flip = true}});
  share_batch_statistics(model, communicator.size() > 1 ? &communicator : nullptr);
  DataParallel parallel(model, communicator, {.bucket_bytes = 20000});
  Sgd<T> optimizer(named_parameters<T>(model), {.lr = 0.05, .momentum = 0.9, .nesterov = true});
  const auto loss = [](const std::vector<Tensor<T>>& logits, const Batch<T>& batch) {
    return gramian_loss(logits, batch.labels, {.lambda = -0.8});
  };
  const auto rate = [](Index) { return 0.05; };
  train_epoch(model, loader, optimizer, loss, rate, {.max_norm = 5, .parallel = &parallel});
  require<Error>(loader.batches() == 5 && parallel.early_buckets() > parallel.buckets() / 2, "steps ",
                 loader.batches(), ", buckets sent early ", parallel.early_buckets(), " of ",
                 parallel.buckets());
  return model;
}

/// Trains on all processes and on this one alone, and prints how far apart the results are.
template <Scalar T, class Make>
bool equal(Communicator& communicator, const char* name, Make&& make, double tolerance) {
  SocketCommunicator alone(SocketCommunicatorOptions{.size = 1});
  auto together = trained<T>(make(static_cast<std::uint64_t>(1 + communicator.rank())), 12, communicator);
  auto single = trained<T>(make(1), 12, alone);
  double difference = 0, largest = 0;
  bool identical = true;
  const auto expected = parts_of(single), found = parts_of(together);
  for (std::size_t i = 0; i < found.size(); ++i)
    std::visit(
        [&]<class Part>(Part* part) {
          if constexpr (detail::is_tensor<Part>) {
            const auto* other = std::get<Part*>(expected[i].part);
            for (Index k = 0; k < part->size(); ++k) {
              difference = std::max(difference, std::abs(double(part->data()[k]) - double(other->data()[k])));
              largest = std::max(largest, std::abs(double(other->data()[k])));
            }
            auto first = part->clone();
            communicator.broadcast(first.data(), first.size());
            identical &= std::memcmp(first.data(), part->data(), part->span().size_bytes()) == 0;
          }
        },
        found[i].part);
  const bool good = identical && difference <= tolerance * largest;
  std::printf("rank %d of %d: %s %s: difference %.1e of %.1e, bits %s\n", communicator.rank(),
              communicator.size(), name, type_name<T>(), difference, largest,
              identical ? "identical" : "DIFFERENT");
  return good;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::unique_ptr<Communicator> communicator = connect();
  if (argc > 2)
    require<Error>(communicator->size() == std::atoi(argv[2]), "not ", std::string(argv[2]), " processes");
  if (what == "equal") {
    std::int64_t good = 1;
    good &= equal<double>(*communicator, "GA-ResNet", resnet<double>, 1e-12);
    good &= equal<double>(*communicator, "GA-ViT", vit<double>, 1e-12);
    good &= equal<float>(*communicator, "GA-ResNet", resnet<float>,
                         1e-2);  // a ReLU near its corner may fall to the other side
    good &= equal<float>(*communicator, "GA-ViT", vit<float>, 5e-6);
    communicator->all_reduce(&good, 1);
    return good == communicator->size() ? 0 : 2;
  }
  require<ArgumentError>(what == "die", "several_processes equal|die");
  std::vector<float> values(1000000);
  for (int i = 0;; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      communicator->all_reduce(values.data(), 1000000);
    } catch (const CommunicationError& error) {
      std::fprintf(stderr, "rank %d noticed in %.1f s: %s\n", communicator->rank(),
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
                   error.what());
      throw;
    }
    if (i == 20 && communicator->rank() == 1) std::raise(SIGKILL);
  }
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 3;
}
