// SPDX-License-Identifier: MIT
// gram bench: how fast a network is, on the CPU or on a GPU.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <variant>

#include "../bench/measure.hpp"
#include "gram.hpp"
#include "gram/gram.hpp"

namespace examples {

using namespace gram;

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <Scalar T>
using AnyOptimizer = std::variant<Sgd<T>, AdamW<T>>;

/// The step is small: a benchmark learns one batch over and over, and must not run into vanishing numbers.
template <Scalar T>
AnyOptimizer<T> make_optimizer(const std::string& name, ParameterList<T> parameters) {
  if (name == "sgd") return Sgd<T>(std::move(parameters), {.lr = 1e-4, .momentum = 0.9, .nesterov = true});
  return AdamW<T>(std::move(parameters), {.lr = 1e-5});
}

/// The most memory this program has ever held, code and libraries included.
long long maximum_resident_bytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024LL * usage.ru_maxrss;
}

/// Seconds a step, of windows of steps. On a GPU steps are started without waiting, and waited for at the end
/// of a window.
template <class Step>
std::vector<double> time_steps(Device device, const Arguments& a, Step&& step) {
  int window = 1;
  if (device.kind() == Device::Kind::cuda && !a.latency) {
    const auto start = Clock::now();
    step(), synchronize(device);
    window = std::max(1, static_cast<int>(0.25 / seconds_since(start)));
  }
  std::vector<double> seconds;
  double total = 0;
  while (total < a.seconds || seconds.size() < 3) {
    const auto start = Clock::now();
    for (int i = 0; i < window; ++i) step();
    synchronize(device);
    total += seconds_since(start);
    seconds.push_back(seconds_since(start) / window);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

template <Scalar T>
void bench(const Arguments& a, Device device) {
  const bool training = a.mode == "train", gpu = device.kind() == Device::Kind::cuda;
  Rng rng(1);
  models::Model<T> model = models::create<T>(a.model, a.create, rng);
  const models::Info info = model.info();
  move_to(model, device);
  training ? train(model) : fuse_for_inference(model);
  fold_batch_norms(model, a.fold_norms);
  const Tensor<T> x = converted<T>(randn<float>({a.batch, info.size.h, info.size.w, 3}, 1)).to(device);
  const auto labels = generate<std::int64_t>({a.batch}, [&](Index i) { return i % info.classes; }).to(device);
  AnyOptimizer<T> optimizer =
      make_optimizer<T>(a.optimizer, training ? named_parameters<T>(model) : ParameterList<T>());

  const auto train_step = [&](auto& update) {  // with one head the loss is cross-entropy
    update.zero_grad();
    gram::backward(gramian_loss(model(x), labels, {.lambda = -0.8}));
    update.step();
  };
  const auto plain_step = [&] {
    if (training) return std::visit(train_step, optimizer);
    const NoGrad off;
    model(x);
  };
  if (gpu) set_product_tuning(8);  // as the rival does
  plain_step(), plain_step();      // memory, caches, methods
  cuda::Graph graph;
  if (gpu && a.graphs) graph = cuda::capture(device, plain_step);
  const std::vector<double> seconds = time_steps(device, a, [&] { graph ? graph.replay() : plain_step(); });
  const double median = seconds[seconds.size() / 2], images = static_cast<double>(a.batch) / median;
  const MemoryStats memory = memory_stats(device);
  const long long resident = maximum_resident_bytes();

  // Forms depend on the number of images; a GPU's batch is too much for a CPU to count.
  models::Model<float> counted = models::create<float>(a.model, a.create, rng);
  const Index count_images = gpu ? 1 : a.batch;
  const OperationCount c = count_operations<float>(counted, {count_images, info.size.h, info.size.w, 3});
  // A training step is counted as three forward passes: the backward one has two products for each.
  const double operations = 2.0 * static_cast<double>(c.executed) * (training ? 3 : 1) *
                            static_cast<double>(a.batch) / static_cast<double>(count_images);
  const double peak = gpu ? 0 : bench::fma_peak(0.2);
  Json all{{"model", info.name},
           {"mode", a.mode},
           {"optimizer", training ? a.optimizer : "none"},
           {"batch", a.batch},
           {"size", info.size.h},
           {"heads", info.heads},
           {"classes", info.classes},
           {"device", gpu ? cuda::runtime->description(device.index()) : "cpu"},
           {"precision", a.precision},
           {"fold_norms", a.fold_norms},
           {"graph", static_cast<bool>(graph)},
           {"threads", threads()},
           {"isa", isa_name(isa())},
           {"steps", seconds.size()},
           {"seconds_median", median},
           {"seconds_min", seconds.front()},
           {"images_per_second", images},
           {"peak_memory_bytes", memory.peak},
           {"maximum_resident_bytes", resident},
           {"multiply_accumulates", (c.products + c.matmuls) / count_images},
           {"executed_multiply_accumulates", c.executed / count_images},
           {"operations_per_second", operations / median}};
  if (!gpu) all["fma_peak"] = peak, all["fma_peak_share"] = operations / median / peak;
  if (a.json) return static_cast<void>(std::printf("%s\n", all.dump(2).c_str()));

  std::printf("%s, %s, batch %lld, %lld x %lld, %s\n", info.name.c_str(), a.mode.c_str(),
              static_cast<long long>(a.batch), static_cast<long long>(info.size.h),
              static_cast<long long>(info.size.w),
              gpu ? text(all["device"].get<std::string>(), ", ", a.precision, graph ? ", graph" : "").c_str()
                  : text(threads(), " threads, ", isa_name(isa())).c_str());
  std::printf("median %.4f s, minimum %.4f s a step of %zu; %.1f images/s", median, seconds.front(),
              seconds.size(), images);
  if (gpu)
    std::printf(", %.1f TFLOP/s\n", operations / median * 1e-12);
  else
    std::printf(", %.0f %% of %.0f GFLOP/s\n", 100 * operations / median / peak, peak * 1e-9);
  std::printf("peak memory %.1f MB, of the whole program %.1f MB\n", static_cast<double>(memory.peak) * 1e-6,
              static_cast<double>(resident) * 1e-6);
}

}  // namespace

void bench_model(const Arguments& a) {
  const Device device = parse_device(a.device);
  if (device.kind() == Device::Kind::cuda && a.precision == "bf16") return bench<bf16>(a, device);
  bench<float>(a, device);
}

}  // namespace examples
