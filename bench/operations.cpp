// SPDX-License-Identifier: MIT
// Single operations through gram's public functions, one for each line on standard input, answered by a line
// of JSON; bench/compare_operations.py asks PyTorch the same questions in turn.
//   echo "forward linear 1576 1152 384" | bench_operations [seconds per operation] [threads]
// A line is a pass, a kind and sizes. Passes: forward; input, weight or backward: the gradient of the input,
// of the parameters, of both; step: forward and backward, or an optimiser's step. Kinds and their sizes:
//   linear rows out in                     conv2d images size in out kernel stride groups
//   batch_norm_relu images size channels   layer_norm rows channels
//   attention images tokens heads width    gelu rows channels
//   gramian_heads images channels size heads
//   adamw tensors elements                 sgd tensors elements
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gram/gram.hpp"

using namespace gram;

namespace {

struct Question {
  std::string pass, kind;
  std::vector<Index> sizes;
};

using Tensors = std::vector<Tensor<float>>;
using Work = std::function<void()>;

Tensor<float> numbers(const Shape& shape, double scale = 1) {
  return randn<float>(shape, 1) * static_cast<float>(scale);
}

/// One pass of f(x, parameters). The graph is kept, so a backward pass does nothing but walk it.
template <class F>
Work pass_of(const Question& q, Tensor<float> x, Tensors parameters, F f) {
  if (q.pass == "forward")
    return [=] {
      const NoGrad off;
      f(x, parameters);
    };
  require<ArgumentError>(q.pass == "input" || q.pass == "weight" || q.pass == "backward", "unknown pass ",
                         q.pass);
  if (q.pass != "weight") x.set_requires_grad();
  if (q.pass != "input")
    for (Tensor<float>& p : parameters) p.set_requires_grad();
  const Tensor<float> y = f(x, parameters), dy = numbers(y.shape());
  return [=] {
    x.zero_grad();
    for (const Tensor<float>& p : parameters) p.zero_grad();
    backward(y, dy, {.retain_graph = true});
  };
}

Work linear_work(const Question& q) {
  const Index rows = q.sizes.at(0), out = q.sizes.at(1), in = q.sizes.at(2);
  return pass_of(q, numbers({rows, in}), {numbers({out, in}, 0.05), numbers({out})},
                 [](const auto& x, const Tensors& p) { return linear(x, p[0], p[1]); });
}

Work conv2d_work(const Question& q) {
  const Index n = q.sizes.at(0), size = q.sizes.at(1), in = q.sizes.at(2), out = q.sizes.at(3),
              k = q.sizes.at(4);
  const Conv2dOptions options{.stride = q.sizes.at(5), .padding = k / 2, .groups = q.sizes.at(6)};
  return pass_of(q, numbers({n, size, size, in}), {numbers({out, k, k, in / options.groups}, 0.05)},
                 [=](const auto& x, const Tensors& p) { return conv2d(x, p[0], {}, options); });
}

Work batch_norm_work(const Question& q) {
  const Index n = q.sizes.at(0), size = q.sizes.at(1), c = q.sizes.at(2);
  const Tensor<float> mean = zeros<float>({c}), variance = ones<float>({c});
  return pass_of(q, numbers({n, size, size, c}), {ones<float>({c}), zeros<float>({c})},
                 [=](const auto& x, const Tensors& p) {
                   return batch_norm(x, p[0], p[1], mean, variance, {.training = true, .relu = true});
                 });
}

Work layer_norm_work(const Question& q) {
  const Index rows = q.sizes.at(0), c = q.sizes.at(1);
  return pass_of(q, numbers({rows, c}), {ones<float>({c}), zeros<float>({c})},
                 [](const auto& x, const Tensors& p) { return layer_norm(x, p[0], p[1], 1e-6); });
}

Work attention_work(const Question& q) {
  const Index heads = q.sizes.at(2), width = q.sizes.at(3);
  return pass_of(
      q, numbers({q.sizes.at(0), q.sizes.at(1), 3 * heads * width}), {},
      [=](const auto& x, const Tensors&) { return attention(x, AttentionOptions{.heads = heads}); });
}

Work gelu_work(const Question& q) {
  return pass_of(q, numbers({q.sizes.at(0), q.sizes.at(1)}), {},
                 [](const auto& x, const Tensors&) { return gelu(x); });
}

/// The heads of GA-ResNet50, all computed together.
Work gramian_heads_work(const Question& q) {
  const Index n = q.sizes.at(0), c = q.sizes.at(1), size = q.sizes.at(2), count = q.sizes.at(3);
  Rng rng(1);
  const auto heads = std::make_shared<GramianHeads<float>>(
      count,
      GramianHeads<float>::Options{.channels = c, .classes = 1000, .embedding_groups = 16, .embed = c / 4},
      rng);
  Tensor<float> x = numbers({n, size, size, c});
  train(*heads, q.pass == "step");
  if (q.pass == "forward")
    return [=] {
      const NoGrad off;
      (*heads)(x);
    };
  require<ArgumentError>(q.pass == "step", "unknown pass ", q.pass);
  x.set_requires_grad();
  const Tensor<float> dy = numbers({n, 1000});
  return [=] {
    x.zero_grad();
    for_each_parameter(*heads, [](const std::string&, const auto& p) { p.zero_grad(); });
    std::vector<Root<float>> roots;
    for (const Tensor<float>& logits : (*heads)(x)) roots.push_back({logits, dy});
    backward(roots);
  };
}

template <class Optimizer>
Work optimizer_work(const Question& q, const typename Optimizer::Options& options) {
  ParameterList<float> list;
  for (Index i = 0; i < q.sizes.at(0); ++i) {
    Tensor<float> p = numbers({1, q.sizes.at(1)});
    p.set_requires_grad();
    p.gradient().add(numbers(p.shape()));
    list.add(NamedParameter<float>{text("p", i), p});
  }
  const auto optimizer = std::make_shared<Optimizer>(std::move(list), options);
  return [=] { optimizer->step(); };
}

Work work_of(const Question& q) {
  if (q.kind == "linear") return linear_work(q);
  if (q.kind == "conv2d") return conv2d_work(q);
  if (q.kind == "batch_norm_relu") return batch_norm_work(q);
  if (q.kind == "layer_norm") return layer_norm_work(q);
  if (q.kind == "attention") return attention_work(q);
  if (q.kind == "gelu") return gelu_work(q);
  if (q.kind == "gramian_heads") return gramian_heads_work(q);
  if (q.kind == "adamw") return optimizer_work<AdamW<float>>(q, {.lr = 1e-5});
  if (q.kind == "sgd") return optimizer_work<Sgd<float>>(q, {.lr = 1e-5, .momentum = 0.9, .nesterov = true});
  throw ArgumentError(text("unknown operation ", q.kind));
}

/// Seconds of every call, shortest first, after two that fetch memory and fill caches.
std::vector<double> times(const Work& work, double budget) {
  using clock = std::chrono::steady_clock;
  work(), work();
  std::vector<double> all;
  for (double spent = 0; spent < budget || all.size() < 5; spent += all.back()) {
    const auto start = clock::now();
    work();
    all.push_back(std::chrono::duration<double>(clock::now() - start).count());
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

int main(int count, char** arguments) try {
  const double budget = count > 1 ? std::atof(arguments[1]) : 0.2;
  if (count > 2) set_threads(std::atoi(arguments[2]));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    Question q;
    words >> q.pass >> q.kind;
    for (Index size = 0; words >> size;) q.sizes.push_back(size);
    const std::vector<double> seconds = times(work_of(q), budget);
    std::printf("{\"name\": \"%s\", \"median_ms\": %.5f, \"best_ms\": %.5f}\n", line.c_str(),
                1e3 * seconds[seconds.size() / 2], 1e3 * seconds.front());
    std::fflush(stdout);  // the answer is waited for
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
