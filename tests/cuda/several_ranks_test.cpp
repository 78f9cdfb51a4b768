// SPDX-License-Identifier: MIT
// Several ranks with a device each: batch statistics over all of them, training, captured steps. They are
// threads that take turns on one device; NCCL is the stand-in of emulated/nccl.h, and absent on a GPU here.
#include "both_devices.hpp"
#include "tiny_networks.hpp"
#include "turns.hpp"

using namespace gram;

namespace {

enum class Kind { staged, nccl };

std::vector<Kind> kinds() {
  if (cuda::make_nccl_communicator) return {Kind::staged, Kind::nccl};
  MESSAGE("without NCCL");
  return {Kind::staged};
}

/// f(communicator) on two ranks.
void on_two_ranks(Kind kind, const std::function<void(Communicator&)>& f) {
  const auto errors = test::errors_in_turns(2, [&](Communicator& host) {
    std::unique_ptr<Communicator> communicator;
    if (kind == Kind::staged)
      communicator = std::make_unique<StagedCommunicator>(host);
    else
      communicator = nccl_communicator(Device::cuda(), host);
    f(*communicator);
  });
  for (const std::string& error : errors) CHECK(error == "");
}

template <Scalar T>
struct SharedNorm {
  static constexpr Index channels = 10;
  Tensor<T> y, dx, dresidual;
  Tensor<accum_t<T>> dweight, dbias, mean, variance;

  /// Forward and backward on rows [begin, end) of what `rows` rows hold together.
  SharedNorm(Index rows, Index begin, Index end, bool relu, bool with_residual, Communicator* communicator) {
    using A = accum_t<T>;
    const Device device = Device::cuda();
    const auto piece = [&](std::uint64_t seed) {
      const Tensor<T> all = generate<T>({rows, 3, channels}, [&](Index i) {
        return 3.0 * static_cast<double>(i % 5) +
               static_cast<double>(1 + i % 7) * RandomKey{seed, 0}.normal(static_cast<std::uint64_t>(i));
      });
      return all.alias_rows(begin, end).clone().to(device).set_requires_grad();
    };
    const Tensor<T> x = piece(1), residual = with_residual ? piece(2) : Tensor<T>{};
    const auto weight = rand<A>({channels}, 0.5, 1.5, 3).to(device).set_requires_grad(),
               bias = randn<A>({channels}, 4).to(device).set_requires_grad();
    const auto running_mean = zeros<A>({channels}, device), running_var = ones<A>({channels}, device);
    const Tensor<T> there = batch_norm(x, weight, bias, running_mean, running_var,
                                       {.relu = relu, .communicator = communicator}, residual);
    backward(there,
             converted<T>(randn<float>({rows, 3, channels}, 5)).alias_rows(begin, end).clone().to(device));
    const auto here = [](const auto& t) { return t.detach().to(Device::cpu()); };
    y = here(there), dx = here(x.grad()), mean = here(running_mean), variance = here(running_var);
    if (with_residual) dresidual = here(residual.grad());
    dweight = here(weight.grad()), dbias = here(bias.grad());
  }
};

/// A small GA-ResNet of double after an epoch, and what was seen.
std::vector<double> trained(Communicator* communicator, bool graphs) {
  constexpr Index images = 28;  // batches of 8, 8, 8 and 4
  auto model = test::tiny_resnet<double>();
  move_to(model, Device::cuda());
  const int ranks = communicator ? communicator->size() : 1;
  std::unique_ptr<DataParallel> parallel;
  if (communicator) {
    share_batch_statistics(model, communicator);
    parallel =
        std::make_unique<DataParallel>(model, *communicator, DataParallel::Options{.bucket_bytes = 4096});
  }
  Loader<double> loader(make_textures({.classes = 5, .count = images, .size = 16}),
                        {.batch = 8 / ranks,
                         .shard = communicator ? communicator->rank() : 0,
                         .shards = ranks,
                         .shuffle = true,
                         .seed = 3});
  Sgd<double> optimizer(named_parameters<double>(model), {.lr = 0.02, .momentum = 0.9});
  const auto loss = [](const std::vector<Tensor<double>>& logits, const Batch<double>& batch) {
    return gramian_loss(logits, batch.labels, {.lambda = -0.8});
  };
  const auto rate = [](Index step) { return 0.02 / static_cast<double>(1 + step); };
  const Meter seen = train_epoch(model, loader, optimizer, loss, rate,
                                 {.max_norm = 5, .graphs = graphs, .parallel = parallel.get()});
  CHECK(seen.images() == images);
  std::vector<double> all = test::weights_of(model);
  all.push_back(seen.accuracy());
  return all;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

TEST_CASE_TEMPLATE("two ranks with unequal parts normalise as one with the whole batch", T, float, double,
                   bf16) {
  const double tolerance = std::same_as<T, float> ? 3e-6 : std::same_as<T, double> ? 1e-13 : 2e-2;
  constexpr Index rows = 9, bounds[] = {0, 5, 9};
  for (const Kind kind : kinds())
    for (const bool relu : {false, true})
      for (const bool residual : {false, true}) {
        const SharedNorm<T> whole(rows, 0, rows, relu, residual, nullptr);
        std::vector<std::unique_ptr<SharedNorm<T>>> parts(2);
        on_two_ranks(kind, [&](Communicator& communicator) {
          const auto r = static_cast<std::size_t>(communicator.rank());
          parts[r] =
              std::make_unique<SharedNorm<T>>(rows, bounds[r], bounds[r + 1], relu, residual, &communicator);
        });
        for (std::size_t r = 0; r < 2; ++r) {
          const SharedNorm<T>& part = *parts[r];
          const auto same = [&](const Tensor<T>& mine, const Tensor<T>& all) {
            return test::close(mine, all.alias_rows(bounds[r], bounds[r + 1]), tolerance);
          };
          CHECK(same(part.y, whole.y));
          CHECK(same(part.dx, whole.dx));
          if (residual) CHECK(same(part.dresidual, whole.dresidual));
          CHECK(test::close(part.mean, whole.mean, tolerance));
          CHECK(test::close(part.variance, whole.variance, tolerance));
          CHECK(test::identical(part.mean, parts[0]->mean));
          CHECK(test::identical(part.variance, parts[0]->variance));
        }
        CHECK(test::close(add(parts[0]->dweight, parts[1]->dweight), whole.dweight, tolerance));
        CHECK(test::close(add(parts[0]->dbias, parts[1]->dbias), whole.dbias, tolerance));
      }
}

TEST_CASE("each rank must have a value per channel on a device, and one rank more than one") {
  const auto norm = [](Index rows, Communicator& communicator) {
    batch_norm<float>(ones<float>({rows, 2}, Device::cuda()), {}, {}, {}, {},
                      {.communicator = &communicator});
  };
  on_two_ranks(Kind::staged, [&](Communicator& communicator) { norm(1, communicator); });
  test::Meeting meeting(1);
  test::TurnsCommunicator alone(0, 1, meeting);
  StagedCommunicator communicator(alone);
  CHECK(test::error_of([&] { norm(1, communicator); }) ==
        "batch_norm: x has shape (1, 2), but training expects more than 1 value per channel");
  CHECK(test::error_of([&] { norm(0, communicator); }) ==
        "batch_norm: x has shape (0, 2); on cuda:0 statistics over several processes expect a value per "
        "channel from each");
}

TEST_CASE("two ranks train, with and without graphs, what one trains on the whole batches") {
  const std::vector<double> alone = trained(nullptr, true);
  for (const Kind kind : kinds()) {
    std::vector<double> plain[2], graphs[2];
    int host_operations[2];
    on_two_ranks(kind, [&](Communicator& communicator) {
      const int rank = communicator.rank(), before = test::TurnsCommunicator::operations;
      CHECK(communicator.capturable() == (kind == Kind::nccl));
      plain[rank] = trained(&communicator, false);
      host_operations[rank] = test::TurnsCommunicator::operations - before;
    });
    on_two_ranks(kind, [&](Communicator& communicator) {
      const int rank = communicator.rank(), before = test::TurnsCommunicator::operations;
      graphs[rank] = trained(&communicator, true);
      // A plain step asks the other ranks, over the host, who has which gradients; two replays do not.
      const int saved = host_operations[rank] - (test::TurnsCommunicator::operations - before);
      CHECK(saved == (kind == Kind::nccl ? 2 : 0));
    });
    CHECK(largest_difference(plain[0], alone) < 1e-12);
    CHECK(plain[0] == plain[1]);
    CHECK(plain[0] == graphs[0]);
    CHECK(plain[1] == graphs[1]);
  }
}

TEST_CASE("what a captured step cannot do with other ranks is said") {
  const Device device = Device::cuda();
  on_two_ranks(Kind::staged, [&](Communicator& communicator) {
    const auto values = ones<float>({4}, device);
    CHECK(test::error_of(
              [&] { cuda::capture(device, [&] { communicator.all_reduce(values.data(), 4, device); }); }) ==
          "StagedCommunicator: values of cuda:0 go through the host, which no CUDA graph can do; turn graphs "
          "off, or use nccl_communicator()");
    float here = 1;
    CHECK(test::error_of([&] {
            cuda::capture(device, [&] { communicator.all_reduce(&here, 1); });
          }).starts_with("Communicator: values on the device cannot"));
  });
  if (!cuda::make_nccl_communicator) return;
  on_two_ranks(Kind::nccl, [&](Communicator& communicator) {
    Rng rng(1);
    Linear<float> layer({.in = 3, .out = 2}, rng);
    move_to(layer, device);
    DataParallel parallel(layer, communicator);
    const auto x = ones<float>({4, 3}, device);
    const auto step = [&] {
      zero_grad(layer);
      backward(sum(layer(x)));
      parallel.finish();
    };
    CHECK(test::error_of([&] { cuda::capture(device, step); }).ends_with("run it once as a plain step"));
  });
}
