// SPDX-License-Identifier: MIT
// Compares a layer or network with a file of reference vectors: outputs, gradients of inputs and parameters.
// Not running statistics: in the files after/* equals buffer/*. Parameters are found by name; layouts are
// converted here.
#pragma once
#include "golden.hpp"
#include "gram/nn/module.hpp"
#include "gram/tensor/tape.hpp"
#include "support.hpp"

namespace gram::test {

/// A PyTorch tensor in our layout: maps and convolution weights channels last.
template <Scalar T>
Tensor<T> channels_last(const Tensor<T>& x) {
  return x.rank() == 4 ? nchw_to_nhwc(x) : x;
}

/// How close a comparison came, relative to the largest output and to the largest gradient of the file.
struct Agreement {
  double output = 0, gradient = 0;
};

/// The name a parameter of ours has in the file, where it is another one.
using Rename = std::string (*)(std::string);
inline std::string same_name(std::string name) { return name; }

template <class P>
void load_part(const Golden& golden, const std::string& name, P& part) {
  REQUIRE_MESSAGE(golden.has(name), name);
  const auto value = channels_last(golden.tensor<typename P::value_type>(name));
  REQUIRE_MESSAGE(value.size() == part.size(), name);
  std::copy(value.span().begin(), value.span().end(), part.data());
}

/// Puts param/* and buffer/* of the file into the model; every parameter of the one must be in the other.
template <class Model>
void load_golden(const Golden& golden, Model& model, Rename rename = same_name) {
  std::size_t found = 0;
  for_each_parameter(model, [&](const std::string& name, auto& part) {
    load_part(golden, "param/" + rename(name), part);
    ++found;
  });
  for_each_buffer(
      model, [&](const std::string& name, auto& part) { load_part(golden, "buffer/" + rename(name), part); });
  CHECK(found == golden.names("param/").size());
}

/// Largest |ours - expected|; the expected tensor may have extra axes of extent 1.
template <Scalar T>
double difference(const Tensor<T>& ours, const Tensor<T>& expected) {
  if (ours.size() != expected.size()) return HUGE_VAL;
  double largest = 0;
  for (Index i = 0; i < ours.size(); ++i) {
    const double d = std::abs(double(ours.data()[i]) - double(expected.data()[i]));
    largest = std::isfinite(d) ? std::max(largest, d) : HUGE_VAL;
  }
  return largest;
}
template <Scalar T>
double largest(const Tensor<T>& x) {
  return difference(x, zeros<T>(x.shape()));
}

/// Runs forward(inputs) -> outputs with the parameters of the file and compares. `inputs` and `outputs` name
/// arrays of the file, in the order of the arguments and results.
template <Scalar T, class Model, class Forward>
Agreement compare(const Golden& golden, Model& model, Forward&& forward,
                  const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                  Rename rename = same_name) {
  load_golden(golden, model, rename);
  std::vector<Tensor<T>> x;
  for (const std::string& name : inputs)
    x.push_back(channels_last(golden.tensor<T>("in/" + name)).set_requires_grad());
  const std::vector<Tensor<T>> y = forward(x);
  REQUIRE(y.size() == outputs.size());

  Agreement result;
  double scale = 0;
  std::vector<Root<T>> roots;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto expected = channels_last(golden.tensor<T>("out/" + outputs[i]));
    result.output = std::max(result.output, difference(y[i], expected));
    scale = std::max(scale, largest(expected));
    roots.push_back({y[i], channels_last(golden.tensor<T>("cot/" + outputs[i])).alias(y[i].shape())});
  }
  result.output /= scale;

  backward(roots);
  scale = 0;
  const auto compare_gradient = [&](const std::string& name, const auto& leaf) {
    const auto expected =
        channels_last(golden.tensor<typename std::decay_t<decltype(leaf)>::value_type>(name));
    REQUIRE_MESSAGE(leaf.grad().defined(), name);
    result.gradient = std::max(result.gradient, difference(leaf.grad(), expected));
    scale = std::max(scale, largest(expected));
  };
  for (std::size_t i = 0; i < x.size(); ++i) compare_gradient("grad/in/" + inputs[i], x[i]);
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    compare_gradient("grad/param/" + rename(name), p);
  });
  result.gradient /= scale;

  return result;
}

/// The same for a model that is called with one map and returns one tensor.
template <Scalar T, class Model>
Agreement compare(const Golden& golden, Model& model, Rename rename = same_name) {
  return compare<T>(
      golden, model, [&](const auto& x) { return std::vector<Tensor<T>>{model(x[0])}; }, {"x"}, {"y"},
      rename);
}

}  // namespace gram::test
