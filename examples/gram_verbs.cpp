// SPDX-License-Identifier: MIT
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

constexpr double million = 1e-6, billion = 1e-9;

models::Model<float> make(const Arguments& a) {
  Rng rng(1);
  return models::create<float>(a.model, a.create, rng);
}

OperationCount count(models::Model<float>& model, Index images = 1) {
  const Pair size = model.info().size;
  return count_operations<float>(model, {images, size.h, size.w, 3});
}

long long whole(Index value) { return static_cast<long long>(value); }

using AnyOptimizer = std::variant<Sgd<float>, AdamW<float>>;

/// The step is small: a benchmark learns one batch over and over, and must not run into vanishing numbers.
AnyOptimizer make_optimizer(const std::string& name, ParameterList<float> parameters) {
  if (name == "sgd")
    return Sgd<float>(std::move(parameters), {.lr = 1e-4, .momentum = 0.9, .nesterov = true});
  return AdamW<float>(std::move(parameters), {.lr = 1e-5});
}

/// The most memory this program has ever held, code and libraries included.
long long maximum_resident_bytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024LL * usage.ru_maxrss;
}

}  // namespace

void list_models(const Arguments& a) {
  std::printf("%-28s %7s %6s %6s %14s %12s %12s\n", "model", "classes", "heads", "size", "parameters", "MACs",
              "+ attention");
  for (const std::string& name : models::names()) {
    if (name.find(a.model) == std::string::npos) continue;
    models::Model<float> model = make({.model = name});
    const OperationCount c = count(model);
    const models::Info& info = model.info();
    std::printf("%-28s %7lld %6lld %6lld %12.3f M %10.4f G %10.4f G\n", name.c_str(), whole(info.classes),
                whole(info.heads), whole(info.size.h), static_cast<double>(c.parameters) * million,
                static_cast<double>(c.products) * billion,
                static_cast<double>(c.products + c.matmuls) * billion);
    std::fflush(stdout);  // the large ones take seconds
  }
}

void show_info(const Arguments& a) {
  models::Model<float> model = make(a);
  const OperationCount c = count(model);
  const models::Info& info = model.info();
  if (a.json) {
    nlohmann::ordered_json layers = nlohmann::json::array();
    for (const LayerCall& l : c.layers)
      layers.push_back({{"module", l.path},
                        {"kind", l.kind},
                        {"output", std::vector<Index>(l.output.begin(), l.output.end())},
                        {"parameters", l.parameters},
                        {"macs", l.products},
                        {"matmul_macs", l.matmuls},
                        {"executed_macs", l.executed}});
    const nlohmann::ordered_json all{{"model", info.name},          {"classes", info.classes},
                                     {"heads", info.heads},         {"size", info.size.h},
                                     {"parameters", c.parameters},  {"macs", c.products},
                                     {"norm_operations", c.norms},  {"matmul_macs", c.matmuls},
                                     {"executed_macs", c.executed}, {"modules", layers}};
    std::printf("%s\n", all.dump(2).c_str());
    return;
  }
  std::printf("%s: %lld classes, %lld heads, images of %lld x %lld\n\n", info.name.c_str(),
              whole(info.classes), whole(info.heads), whole(info.size.h), whole(info.size.w));
  std::printf("%-32s %-12s %-20s %12s %16s\n", "module", "kind", "output", "parameters", "MACs");
  for (const LayerCall& l : c.layers)
    std::printf("%-32s %-12s %-20s %12lld %16lld\n", l.path.c_str(), l.kind, to_text(l.output).c_str(),
                whole(l.parameters), whole(l.products + l.matmuls));
  std::printf("\nparameters                                 %12.4f M\n",
              static_cast<double>(c.parameters) * million);
  std::printf("multiply-accumulates, convolutions, linear %12.4f G\n",
              static_cast<double>(c.products) * billion);
  std::printf("  with batch norm at 2 per element         %12.4f G\n",
              static_cast<double>(c.products + c.norms) * billion);
  std::printf("  with products between activations        %12.4f G\n",
              static_cast<double>(c.products + c.matmuls) * billion);
  std::printf("  executed: fused heads, Winograd's forms   %12.4f G\n",
              static_cast<double>(c.executed) * billion);
}

void run_model(const Arguments& a) {
  const SafeTensors input = SafeTensors::read(a.input);
  Arguments sized = a;  // position embeddings depend on the size of the images
  if (!a.create.size && input.shape("x").rank() == 4) sized.create.size = input.shape("x")[2];
  models::Model<float> model = make(sized);
  load_weights(model, a.weights);
  train(model, a.train);

  Tensor<float> x = channels_last(input.tensor<float>("x"));
  if (a.backward) x.set_requires_grad();
  const NoGrad off(!a.backward);
  const std::vector<Tensor<float>> logits = model(x);
  SafeTensorsWriter output;
  for (std::size_t i = 0; i < logits.size(); ++i) output.add(text("out/logits", i), logits[i]);

  if (a.backward) {
    std::vector<Root<float>> roots;
    for (std::size_t i = 0; i < logits.size(); ++i)
      roots.push_back({logits[i], input.tensor<float>(text("cot/logits", i))});
    gram::backward(roots);
    output.add("grad/in/x", channels_first(x.grad()));
    for_each_parameter(model, [&](const std::string& name, const auto& p) {
      const auto gradient = p.grad().defined() ? p.grad() : zeros<float>(p.shape());
      output.add("grad/param/" + name, to_file_layout(gradient, p.layout));
    });
  }
  if (a.train)
    for_each_buffer(
        model, [&](const std::string& name, const auto& buffer) { output.add("after/" + name, buffer); });
  output.write(a.output);
}

void bench_model(const Arguments& a) {
  models::Model<float> model = make(a);
  const models::Info info = model.info();
  const bool training = a.mode == "train";
  training ? train(model) : fuse_for_inference(model);
  const Tensor<float> x = randn<float>({a.batch, info.size.h, info.size.w, 3}, 1);
  const Tensor<std::int64_t> labels =
      generate<std::int64_t>({a.batch}, [&](Index i) { return i % info.classes; });
  AnyOptimizer optimizer =
      make_optimizer(a.optimizer, training ? named_parameters<float>(model) : ParameterList<float>());

  const auto train_step = [&](auto& update) {  // with one head the loss is cross-entropy
    update.zero_grad();
    gram::backward(gramian_loss(model(x), labels, {.lambda = -0.8}));
    update.step();
  };
  const auto step = [&] {
    if (training) return std::visit(train_step, optimizer);
    const NoGrad off;
    model(x);
  };
  step(), step();  // memory and caches
  std::vector<double> seconds;
  double total = 0;
  while (total < a.seconds || seconds.size() < 3) {
    const auto start = std::chrono::steady_clock::now();
    step();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2], best = seconds.front();
  const MemoryStats memory = memory_stats();
  const long long resident = maximum_resident_bytes();

  const OperationCount c = count(model, a.batch);  // forms depend on the number of images
  const double peak = bench::fma_peak(0.2);
  // A training step is counted as three forward passes: the backward one has two products for each.
  const double operations = 2.0 * static_cast<double>(c.executed) * (training ? 3 : 1);
  const double share = operations / median / peak;
  if (a.json) {
    const nlohmann::ordered_json all{{"model", info.name},
                                     {"mode", a.mode},
                                     {"optimizer", training ? a.optimizer : "none"},
                                     {"batch", a.batch},
                                     {"size", info.size.h},
                                     {"heads", info.heads},
                                     {"classes", info.classes},
                                     {"threads", threads()},
                                     {"isa", isa_name(isa())},
                                     {"steps", seconds.size()},
                                     {"seconds_median", median},
                                     {"seconds_min", best},
                                     {"images_per_second", static_cast<double>(a.batch) / median},
                                     {"peak_memory_bytes", memory.peak},
                                     {"maximum_resident_bytes", resident},
                                     {"multiply_accumulates", (c.products + c.matmuls) / a.batch},
                                     {"executed_multiply_accumulates", c.executed / a.batch},
                                     {"fma_peak", peak},
                                     {"fma_peak_share", share}};
    std::printf("%s\n", all.dump(2).c_str());
    return;
  }
  std::printf("%s, %s, batch %lld, %lld x %lld, %d threads, %s\n", info.name.c_str(), a.mode.c_str(),
              whole(a.batch), whole(info.size.h), whole(info.size.w), threads(), isa_name(isa()));
  std::printf("median %.4f s, minimum %.4f s a step of %zu; %.1f images/s, %.0f %% of %.0f GFLOP/s\n", median,
              best, seconds.size(), static_cast<double>(a.batch) / median, 100 * share, peak * billion);
  std::printf("peak memory %.1f MB, of the whole program %.1f MB\n",
              static_cast<double>(memory.peak) * million, static_cast<double>(resident) * million);
}

}  // namespace examples
