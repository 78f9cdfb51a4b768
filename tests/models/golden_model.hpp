// SPDX-License-Identifier: MIT
// Compares a complete network with a file of reference vectors. Such files keep the images in eight bits and
// of their gradient every eighth row and column and the sums over all pixels.
#pragma once
#include "nn/golden_module.hpp"

namespace gram::test {

/// How close a comparison came: outputs relative to the largest one, gradients of the parameters, of the kept
/// pixels and of the sums over pixels each relative to the largest of its kind.
struct ModelAgreement {
  double output = 0, gradient = 0, input = 0, input_sum = 0;
};

/// in/x, or in/x_int8 times in/x_scale as the reference multiplied it, in float.
template <Scalar T>
Tensor<T> golden_images(const Golden& golden) {
  if (golden.has("in/x")) return channels_last(golden.tensor<T>("in/x"));
  auto images = channels_last(golden.tensor<float>("in/x_int8"));
  const float scale = golden.tensor<float>("in/x_scale").data()[0];
  for (float& value : images.span()) value *= scale;
  return converted<T>(images);
}

/// Rows 1, 9, 17, ... and columns 2, 10, 18, ... of a gradient (N, H, W, C).
template <Scalar T>
Tensor<T> kept_pixels(const Tensor<T>& x) {
  const Index H = ceil_div(x.dim(1) - 1, 8), W = ceil_div(x.dim(2) - 2, 8), C = x.dim(3);
  return generate<T>({x.dim(0), H, W, C}, [&](Index i) {
    const Index c = i % C, w = i / C % W, h = i / (C * W) % H, n = i / (C * W * H);
    return x.at({n, 1 + 8 * h, 2 + 8 * w, c});
  });
}
/// Its sums over the pixels, (N, C), added in double.
template <Scalar T>
Tensor<T> pixel_sums(const Tensor<T>& x) {
  const Index C = x.dim(3), pixels = x.dim(1) * x.dim(2);
  return generate<T>({x.dim(0), C}, [&](Index i) {
    double sum = 0;
    for (Index p = 0; p < pixels; ++p) sum += static_cast<double>(x.data()[(i / C * pixels + p) * C + i % C]);
    return sum;
  });
}

/// Runs the network, whose mode is set, on the images of the file with the parameters and running
/// statistics of the file, and compares. `outputs` names its results in their order.
template <Scalar T, class Network>
ModelAgreement compare_model(const Golden& golden, Network& network, const std::vector<std::string>& outputs,
                             Rename rename = same_name) {
  load_golden(golden, network, rename);
  auto x = golden_images<T>(golden);
  x.set_requires_grad();
  const std::vector<Tensor<T>> y = network(x);
  REQUIRE(y.size() == outputs.size());

  ModelAgreement result;
  double scale = 0;
  std::vector<Root<T>> roots;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto expected = golden.tensor<T>("out/" + outputs[i]);
    result.output = std::max(result.output, difference(y[i], expected));
    scale = std::max(scale, largest(expected));
    roots.push_back({y[i], golden.tensor<T>("cot/" + outputs[i]).alias(y[i].shape())});
  }
  result.output /= scale;
  backward(roots);

  scale = 0;
  for_each_parameter(network, [&]<class P>(const std::string& name, const P& parameter) {
    const auto expected = channels_last(golden.tensor<typename P::value_type>("grad/param/" + rename(name)));
    REQUIRE_MESSAGE(parameter.grad().defined(), name);
    result.gradient = std::max(result.gradient, difference(parameter.grad(), expected));
    scale = std::max(scale, largest(expected));
  });
  result.gradient /= scale;

  const auto relative = [&](const Tensor<T>& ours, const std::string& name) {
    const auto expected = channels_last(golden.tensor<T>(name));
    return difference(ours, expected) / largest(expected);
  };
  if (golden.has("grad/in/x")) result.input = relative(x.grad(), "grad/in/x");
  if (golden.has("grad/in/x_sub")) {
    result.input = relative(kept_pixels(x.grad()), "grad/in/x_sub");
    result.input_sum = relative(pixel_sums(x.grad()), "grad/in/x_sum_hw");
  }
  return result;
}

}  // namespace gram::test
