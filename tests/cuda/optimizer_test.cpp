// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

/// Sizes of one element, of parts of packs, of several pieces of work, and more parameters than one launch
/// takes; bf16 networks have float ones among them.
template <Scalar T>
struct Learned {
  explicit Learned(Device device) {
    std::uint64_t seed = 1;
    for (const Shape& shape : {Shape{1}, Shape{3, 7}, Shape{2, 2049}, Shape{9001}, Shape{0}})
      add(converted<T>(randn<float>(shape, seed++)), device);
    for (Index i = 0; i < 60; ++i) add(converted<T>(randn<float>({2, 3}, seed++)), device);
    norm = randn<accum_t<T>>({13}, seed).to(device).clone();
    norm.set_requires_grad();
    if constexpr (!std::same_as<T, accum_t<T>>) list.add(NamedParameter<accum_t<T>>{"norm", norm});
  }
  void add(const Tensor<T>& values, Device device) {
    Tensor<T> w = values.to(device).clone();
    w.set_requires_grad();
    list.add(NamedParameter<T>{.name = "w" + std::to_string(weights.size()), .value = w});
    weights.push_back(w);
  }
  void differentiate(std::uint64_t step) const {
    std::uint64_t seed = 1000 * step;
    list.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
      p.value.zero_grad();
      const auto g = converted<P>(randn<float>(p.value.shape(), seed++)).to(p.value.device());
      if (p.name != "w3" || step > 1) p.value.gradient().add(g);
    });
  }
  std::vector<Tensor<double>> values() const {
    std::vector<Tensor<double>> all;
    list.for_each(
        [&](const auto& p) { all.push_back(converted<double>(p.value.detach()).to(Device::cpu())); });
    return all;
  }
  std::vector<Tensor<double>> gradients() const {
    std::vector<Tensor<double>> all;
    list.for_each([&](const auto& p) {
      if (p.value.grad().defined()) all.push_back(converted<double>(p.value.grad()).to(Device::cpu()));
    });
    return all;
  }

  ParameterList<T> list;
  std::vector<Tensor<T>> weights;
  Tensor<accum_t<T>> norm;
};

double largest_distance(const std::vector<Tensor<double>>& a, const std::vector<Tensor<double>>& b) {
  double largest = a.size() == b.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    largest = std::max(largest, test::distance(a[i], b[i]));
  return largest;
}
bool all_identical(const std::vector<Tensor<double>>& a, const std::vector<Tensor<double>>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = test::identical(a[i], b[i]);
  return same;
}

template <Scalar T, class Optimizer>
double after_steps(const typename Optimizer::Options& options) {
  const auto run = [&](Device device) {
    const Learned<T> network(device);
    Optimizer optimizer(network.list, options);
    for (std::uint64_t step = 0; step < 4; ++step) network.differentiate(step), optimizer.step();
    return network.values();
  };
  return largest_distance(run(Device::cuda()), run(Device::cpu()));
}

/// The sizes of Learned as a model.
template <Scalar T>
struct LearnedModel {
  explicit LearnedModel(Device device) {
    const Learned<T> learned(device);
    for (const auto& w : learned.weights) weights.emplace_back(w);
    norm = Parameter<accum_t<T>>(learned.norm);
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < weights.size(); ++i) parts(text("w", i), weights[i]);
    parts("norm", norm);
  }

  std::deque<Parameter<T>> weights;
  Parameter<accum_t<T>> norm;
};

TEST_CASE_TEMPLATE("moving averages are those of the CPU, in its place, too", T, float, double, bf16) {
  const auto run = [](Device device) {
    LearnedModel<T> model(device);
    Ema<T> ema(model, {.decay = 0.75});
    for_each_parameter(model, [](const std::string&, auto& p) {
      on(p.device(), [&](auto tag) {
        kernels::fill(tag, p.data(), typename std::decay_t<decltype(p)>::value_type(2.0F), p.size());
      });
    });
    ema.update();
    std::vector<Tensor<double>> all;
    for (const auto& [name, average] : ema.state())
      all.push_back(converted<double>(average.to(Device::cpu())));
    const typename Ema<T>::InPlace averages(ema);
    for_each_parameter(model, [&](const std::string&, auto& p) {
      all.push_back(converted<double>(p.detach().to(Device::cpu())));
    });
    return all;
  };
  CHECK(largest_distance(run(Device::cuda()), run(Device::cpu())) <= test::device_tolerance<accum_t<T>>);
}

}  // namespace

TEST_CASE_TEMPLATE("steps of AdamW and SGD are those of the CPU", T, float, double, bf16) {
  const double tolerance = test::device_tolerance<T>;
  CHECK(after_steps<T, AdamW<T>>({.lr = 0.05, .weight_decay = 0.1}) <= tolerance);
  CHECK(after_steps<T, Sgd<T>>({.lr = 0.05}) <= tolerance);
  CHECK(after_steps<T, Sgd<T>>({.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .dampening = 0.2}) <=
        tolerance);
  CHECK(after_steps<T, Sgd<T>>({.lr = 0.05, .momentum = 0.9, .nesterov = true}) <= tolerance);
}

TEST_CASE_TEMPLATE("gradients are clipped on the device as on the CPU, without waiting", T, float, double,
                   bf16) {
  for (const double max_norm : {1.0, 1e6}) {
    const Learned<T> here(Device::cpu()), there(Device::cuda());
    here.differentiate(0), there.differentiate(0);
    const double expected = clip_grad_norm(here.list, max_norm);
    const Tensor<double> norm = clip_gradients(there.list, max_norm);
    CHECK(norm.device() == Device::cuda());
    CHECK(norm.item() == doctest::Approx(expected).epsilon(1e-6));
    CHECK(largest_distance(there.gradients(), here.gradients()) <= test::device_tolerance<T>);
    const Learned<T> again(Device::cuda());
    again.differentiate(0);
    CHECK(clip_grad_norm(again.list, max_norm) == norm.item());
  }
}

TEST_CASE("a NaN spreads to all gradients that are clipped on the device") {
  const Learned<float> network(Device::cuda());
  network.differentiate(0);
  const auto bad = full<float>({1}, std::nanf(""), Device::cuda());
  network.weights[0].gradient().add(bad);
  CHECK(std::isnan(clip_grad_norm(network.list, 1)));
  CHECK(std::isnan(network.gradients()[1].data()[5]));
}

TEST_CASE_TEMPLATE("captured steps are plain steps: they count, and follow the learning rate", T, float,
                   bf16) {
  const auto run = [&](bool captured) {
    const Learned<T> network(Device::cuda());
    AdamW<T> adamw(network.list, {.lr = 0.05});
    Sgd<T> sgd(network.list, {.lr = 0.01, .momentum = 0.9});
    network.differentiate(2);
    const auto step = [&] { clip_gradients(network.list, 3), adamw.step(), sgd.step(); };
    step();
    cuda::Graph graph;
    if (captured) graph = cuda::capture(Device::cuda(), step);
    for (int i = 1; i < 4; ++i) {
      adamw.set_lr(0.05 / i), sgd.set_lr(0.01 * i);
      if (captured && i < 3)
        graph.replay();
      else
        step();  // steps and replays may alternate
    }
    CHECK(adamw.state().steps[0].second.item() == 4);
    return network.values();
  };
  CHECK(all_identical(run(true), run(false)));
}

TEST_CASE("an optimiser wants its parameters on one device") {
  const Learned<float> here(Device::cpu()), there(Device::cuda());
  auto list = here.list;
  list.add({.name = "far", .value = there.weights[0]});
  CHECK(test::error_of([&] { AdamW<float>(list, {}); }) ==
        "Optimizer: parameter 'far' is on cuda:0, others are on cpu; one device is needed");
  here.differentiate(0), there.differentiate(0);
  CHECK(test::error_of([&] { clip_gradients(list, 1); }) ==
        "clip_gradients: gradients are on cpu and on cuda:0; one device is needed");
}
