// SPDX-License-Identifier: MIT
#include "gram/io/training_state.hpp"

#include <filesystem>
#include <fstream>

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/dropout.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/reduce.hpp"
#include "gram/optim/adamw.hpp"
#include "gram/optim/sgd.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// A layer with dropout behind it, and a norm.
template <Scalar T>
struct Network {
  explicit Network(std::uint64_t seed) : rng(seed) {}
  Tensor<T> operator()(const Tensor<T>& x) { return norm(drop(layer(x))); }
  void visit(auto&& parts) { parts("layer", layer), parts("drop", drop), parts("norm", norm); }

  Rng rng;
  Linear<T> layer{{.in = 4, .out = 3}, rng};
  Dropout<T> drop{0.3, rng};
  BatchNorm2d<T> norm{{.channels = 3}};
};

template <Scalar T, class Method>
void train_steps(Network<T>& network, Method& optimizer, int steps) {
  const auto x = converted<T>(randn<float>({8, 4}, 5)), wanted = converted<T>(randn<float>({8, 3}, 6));
  for (int i = 0; i < steps; ++i) {
    const Tensor<T> error = network(x) - wanted;
    optimizer.zero_grad();
    backward(mean(error * error));
    optimizer.step();
  }
}

/// Every value of a network and of its optimiser, bit by bit.
template <Scalar T>
std::vector<double> everything(Network<T>& network, const Optimizer<T>& optimizer) {
  std::vector<double> all;
  const auto put = [&](const auto& values) {
    for (Index i = 0; i < values.size(); ++i) all.push_back(static_cast<double>(values.data()[i]));
  };
  for_each_parameter(network, [&](const std::string&, const auto& p) { put(p); });
  for_each_buffer(network, [&](const std::string&, const auto& b) { put(b); });
  for (const auto& [name, values] : optimizer.state().tensors) put(values);
  for (const auto& [name, count] : optimizer.state().steps) put(count);
  return all;
}

struct StateFile {
  StateFile() : path((std::filesystem::temp_directory_path() / text("gram_state_", ::getpid())).string()) {}
  ~StateFile() { std::filesystem::remove(path); }
  std::string path;
};

template <Scalar T, class Method>
void check_resume(const typename Method::Options& options) {
  const StateFile file;
  Network<T> whole(1), first(1), second(7);
  Method optimizer(named_parameters<T>(whole), options);
  train_steps(whole, optimizer, 5);
  {
    Method of_first(named_parameters<T>(first), options);
    train_steps(first, of_first, 2);
    save_training_state(first, of_first, 12, file.path);
  }
  Method of_second(named_parameters<T>(second), options);
  train_steps(second, of_second, 1);
  CHECK(load_training_state(second, of_second, file.path) == 12);
  train_steps(second, of_second, 3);
  CHECK(everything(second, of_second) == everything(whole, optimizer));
}

}  // namespace

TEST_CASE_TEMPLATE("a training that is resumed is one without a pause, to the bit", T, float, double, bf16) {
  check_resume<T, AdamW<T>>({.lr = 0.05});
  check_resume<T, Sgd<T>>({.lr = 0.05, .momentum = 0.9});
}

TEST_CASE("a state holds weights under their names, float masters, and the places of random sources") {
  const StateFile file;
  Network<bf16> network(1), other(2);
  AdamW<bf16> optimizer(named_parameters<bf16>(network), {});
  train_steps(network, optimizer, 3);
  save_training_state(network, optimizer, 3, file.path);
  const auto s = SafeTensors::read(file.path);
  CHECK(s.dtype("layer.weight") == "BF16");
  CHECK(s.dtype("optimizer.layer.weight.master") == "F32");
  CHECK(s.dtype("norm.weight") == "F32");
  CHECK_FALSE(s.contains("optimizer.norm.weight.master"));  // it is float itself
  CHECK(s.tensor<std::int64_t>("optimizer.layer.bias.step").item() == 3);
  CHECK(s.tensor<std::int64_t>("random.drop.rng").data()[1] == 3);
  // Small updates live in the masters alone.
  const auto master = s.tensor<float>("optimizer.layer.weight.master");
  CHECK(test::identical(converted<bf16>(master), network.layer.weight.detach()));
  CHECK_FALSE(test::identical(master, converted<float>(network.layer.weight.detach())));
  CHECK_FALSE(load_weights(other, file.path, {.strict = false}).unexpected.empty());
  CHECK(test::identical(other.layer.weight.detach(), network.layer.weight.detach()));
  Network<bf16> third(3);
  CHECK(load_weights(third, file.path, {.rename = weights_of_state}).complete());
  CHECK(test::identical(third.layer.weight.detach(), network.layer.weight.detach()));
}

TEST_CASE("a state of another training is refused, and nothing is changed") {
  const StateFile file;
  Network<float> network(1), other(2);
  const AdamW<float> adamw(named_parameters<float>(network), {});
  save_training_state(network, adamw, 1, file.path);

  const Sgd<float> sgd(named_parameters<float>(other), {.momentum = 0.9});
  const auto before = everything(other, sgd);
  CHECK(error_of([&] { load_training_state(other, sgd, file.path); })
            .starts_with("'" + file.path +
                         "': not the state of this training: 4 missing (optimizer.layer.weight."
                         "momentum_buffer, "));
  CHECK(everything(other, sgd) == before);

  Network<bf16> rounded(1);
  const AdamW<bf16> masters(named_parameters<bf16>(rounded), {});
  CHECK(error_of([&] { load_training_state(rounded, masters, file.path); })
            .ends_with(": not the state of this training: 2 missing (optimizer.layer.weight.master, "
                       "optimizer.layer.bias.master)"));

  other.layer = Linear<float>({.in = 4, .out = 3, .bias = false}, other.rng);
  const AdamW<float> fewer(named_parameters<float>(other), {});
  CHECK(error_of([&] { load_training_state(other, fewer, file.path); })
            .ends_with("4 unexpected (layer.bias, optimizer.layer.bias.exp_avg, "
                       "optimizer.layer.bias.exp_avg_sq, optimizer.layer.bias.step)"));

  save_weights(network, file.path);
  CHECK(error_of([&] {
          load_training_state(network, adamw, file.path);
        }).ends_with(": not the state of a training; weights alone do not say how to go on"));
  save_training_state(network, adamw, -1, file.path);
  CHECK(error_of([&] { load_training_state(network, adamw, file.path); }).ends_with(": -1 epochs are done"));
  CHECK(error_of([&] { load_training_state(network, adamw, "/nowhere/state"); }).find("/nowhere/state") !=
        std::string::npos);
}

TEST_CASE("a training goes on with the settings it was started with") {
  const StateFile file;
  Network<float> network(1);
  const AdamW<float> optimizer(named_parameters<float>(network), {});
  save_training_state(network, optimizer, 4, file.path, {{"batch", "64"}, {"seed", "1"}});
  const auto load = [&](const TrainingSettings& settings) {
    return error_of([&] { load_training_state(network, optimizer, file.path, settings); });
  };
  CHECK(load({{"batch", "64"}, {"seed", "1"}}) == "");
  CHECK(load({}) == "");
  CHECK(load({{"batch", "128"}, {"heads", "3"}, {"seed", "1"}}) ==
        "'" + file.path +
            "': the state of a training with other settings: batch '64', not '128', heads unknown, not '3'");
  CHECK(SafeTensors::read(file.path).metadata().at("format") == "pt");
}

TEST_CASE("a state that has been damaged is refused, and nothing is changed") {
  const StateFile file;
  Network<float> network(1), other(2);
  const AdamW<float> optimizer(named_parameters<float>(network), {}),
      of_other(named_parameters<float>(other), {});
  save_training_state(network, optimizer, 1, file.path);
  const auto before = everything(other, of_other);
  const auto size = std::filesystem::file_size(file.path);
  for (const std::uintmax_t behind : {1U, 4U, 100U}) {
    std::fstream bytes(file.path, std::ios::in | std::ios::out | std::ios::binary);
    const auto flip = [&] {
      bytes.seekg(static_cast<std::streamoff>(size - behind));
      const int byte = bytes.get();
      bytes.seekp(static_cast<std::streamoff>(size - behind));
      bytes.put(static_cast<char>(byte ^ 1)).flush();
    };
    flip();
    CHECK(error_of([&] { load_training_state(other, of_other, file.path); }) ==
          "'" + file.path + "': damaged: its values are not those that were written");
    CHECK(error_of([&] {
            load_weights(other, file.path, {.rename = weights_of_state});
          }).ends_with("': damaged: its values are not those that were written"));
    CHECK(everything(other, of_other) == before);
    flip();
  }
  CHECK(load_training_state(other, of_other, file.path) == 1);
}
