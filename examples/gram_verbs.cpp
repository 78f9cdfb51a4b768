// SPDX-License-Identifier: MIT
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gram.hpp"
#include "gram/gram.hpp"

namespace examples {

using namespace gram;

namespace {

constexpr double million = 1e-6, billion = 1e-9;

template <Scalar T = float>
models::Model<T> make(const Arguments& a) {
  Rng rng(1);
  return models::create<T>(a.model, a.create, rng);
}

OperationCount count(models::Model<float>& model, Index images = 1) {
  const Pair size = model.info().size;
  return count_operations<float>(model, {images, size.h, size.w, 3});
}

long long whole(Index value) { return static_cast<long long>(value); }

/// T is what the network computes in, and the output is made of.
template <Scalar T>
void run_as(const Arguments& a) {
  for (const std::string& path : {a.weights, a.input}) {
    std::error_code absent;
    require<FileError>(!std::filesystem::equivalent(path, a.output, absent), printable(a.output),
                       ": cannot be read and written at once");
  }
  { const OutputFile probe(a.output); }  // throws now, not after the work
  const SafeTensors input = SafeTensors::read(a.input);
  const Shape size = input.shape("x");
  require<FileError>(size.rank() == 4 && size.size() > 0 && size[1] == 3, printable(a.input),
                     ": x has shape ", size, "; images (N, 3, H, W) are expected");
  // Position embeddings depend on the size of the images. Those are in the file: memory is asked for in
  // proportion to it.
  Arguments sized = a;
  if (!a.create.size && size[2] == size[3]) sized.create.size = size[2];
  models::Model<T> model = make<T>(sized);
  load_weights(model, a.weights, {.rename = weights_of_state});
  train(model, a.train);
  const Device device = parse_device(a.device), cpu = Device::cpu();
  move_to(model, device);

  Tensor<T> x = channels_last(input.tensor<T>("x")).to(device);
  if (a.backward) x.set_requires_grad();
  const NoGrad off(!a.backward);
  const std::vector<Tensor<T>> logits = model(x);
  SafeTensorsWriter output;
  for (std::size_t i = 0; i < logits.size(); ++i) output.add(text("out/logits", i), logits[i].to(cpu));

  if (a.backward) {
    std::vector<Root<T>> roots;
    for (std::size_t i = 0; i < logits.size(); ++i)
      roots.push_back({logits[i], input.tensor<T>(text("cot/logits", i)).to(device)});
    gram::backward(roots);
    output.add("grad/in/x", channels_first(x.grad().to(cpu)));
    for_each_parameter(model, [&](const std::string& name, const auto& p) {
      const auto gradient = p.grad().defined() ? p.grad().to(cpu) : zeros<T>(p.shape());
      output.add("grad/param/" + name, to_file_layout(gradient, p.layout));
    });
  }
  if (a.train)
    for_each_buffer(model, [&](const std::string& name, const auto& buffer) {
      output.add("after/" + name, buffer.to(cpu));
    });
  output.write(a.output);
}

}  // namespace

void list_models(const Arguments& a) {
  std::printf("%-28s %7s %6s %6s %14s %12s %12s\n", "model", "classes", "heads", "size", "parameters", "MACs",
              "+ attention");
  bool found = false;
  for (const std::string& name : models::names()) {
    if (name.find(a.model) == std::string::npos) continue;
    found = true;
    models::Model<float> model = make({.model = name});
    const OperationCount c = count(model);
    const models::Info& info = model.info();
    std::printf("%-28s %7lld %6lld %6lld %12.3f M %10.4f G %10.4f G\n", name.c_str(), whole(info.classes),
                whole(info.heads), whole(info.size.h), static_cast<double>(c.parameters) * million,
                static_cast<double>(c.products) * billion,
                static_cast<double>(c.products + c.matmuls) * billion);
    std::fflush(stdout);  // the large ones take seconds
  }
  require<ArgumentError>(found, "models: no name contains ", printable(a.model));
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

void run_model(const Arguments& a) { a.precision == "float64" ? run_as<double>(a) : run_as<float>(a); }

void show_build(const Arguments&) { std::printf("%s\n", to_text(build_info()).c_str()); }

}  // namespace examples
