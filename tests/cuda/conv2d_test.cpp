// SPDX-License-Identifier: MIT
#include "gram/cuda/conv2d.hpp"
#include "both_devices.hpp"
#include "cpu/naive_conv2d.hpp"

using namespace gram;
namespace {

/// y, dx, dw and db of a convolution on both devices.
template <Scalar T>
double conv_distance(const Conv2dShape& s, bool bias = true) {
  const Conv2dOptions options{s.stride, s.padding, s.dilation, s.groups};
  auto inputs = test::random_inputs<T>({{s.n, s.h, s.w, s.c}, {s.o, s.kh, s.kw, s.group_in()}, {s.o}});
  if (!bias) inputs.pop_back();
  return test::device_distance<T>(
      [&](const std::vector<Tensor<T>>& x) { return conv2d(x[0], x[1], bias ? x[2] : Tensor<T>{}, options); },
      inputs);
}

/// Shapes that are each there for one thing that goes wrong; {n, h, w, c, o, kh, kw, options}.
std::vector<Conv2dShape> dense_shapes() {
  return {
      {1, 1, 1, 1, 1, 1, 1},
      {2, 3, 4, 3, 5, 1, 1},                                       // a product
      {2, 5, 4, 3, 2, 1, 1, 2},                                    // strided product
      {1, 5, 6, 2, 3, 1, 1, 3, 1},                                 // outputs of padding alone
      {2, 4, 5, 2, 3, 2, 2},                                       //
      {1, 6, 6, 9, 3, 2, 2, 2},                                    //
      {1, 6, 7, 9, 3, 3, 3, 2, 1},                                 //
      {1, 7, 8, 9, 2, 3, 3, 3, 2},                                 //
      {1, 8, 9, 9, 2, 3, 3, 2, 1, 2},                              // stride and dilation
      {1, 9, 9, 8, 8, 2, 3, 4, 3, 6},                              // inputs that no output meets
      {1, 2, 2, 8, 2, 3, 3, 1, 4},                                 // padding wider than the map
      {1, 4, 9, 10, 3, 1, 5, Pair(1, 2), Pair(0, 2)},              //
      {1, 9, 4, 10, 3, 5, 2, Pair(3, 1), Pair(1, 0), Pair(2, 1)},  //
      {3, 9, 8, 70, 67, 3, 3, 1, 1},                               // tiles of 64 and remainders
      {1, 16, 16, 8, 130, 3, 3, 1, 1},                             //
      {5, 12, 12, 16, 16, 3, 3, 1, 1},                             // pixels in several parts
      {0, 4, 4, 9, 3, 3, 3, 1, 1},                                 // no images
  };
}
std::vector<Conv2dShape> grouped_shapes() {
  return {
      {1, 5, 5, 4, 6, 3, 3, 1, 1, 1, 2},    {1, 6, 5, 6, 9, 3, 2, 2, 1, 1, 3},
      {2, 3, 3, 8, 4, 1, 1, 1, 0, 1, 4},    {1, 5, 4, 3, 6, 3, 3, 1, 1, 1, 3},
      {1, 6, 6, 140, 68, 3, 3, 1, 1, 1, 2}, {0, 3, 3, 4, 4, 3, 3, 1, 1, 1, 2},
  };
}
std::vector<Conv2dShape> depthwise_shapes() {
  return {
      {1, 5, 4, 3, 3, 3, 3, 1, 1, 1, 3},
      {2, 6, 7, 5, 5, 3, 3, 2, 1, 1, 5},
      {2, 9, 7, 16, 16, 7, 7, 1, 3, 1, 16},
      {1, 3, 3, 8, 8, 7, 7, 1, 3, 1, 8},
      {1, 11, 6, 24, 24, 5, 5, 1, 2, 1, 24},
      {2, 8, 9, 40, 40, 3, 3, 1, 1, 1, 40},
      {1, 9, 10, 16, 16, 3, 3, 2, 1, 1, 16},
      {1, 9, 10, 16, 16, 3, 3, 2, 0, 1, 16},
      {1, 7, 8, 8, 8, 3, 3, 1, 4, 1, 8},
      {1, 9, 9, 8, 8, 3, 3, 1, 2, 2, 8},
      {1, 9, 9, 7, 7, 2, 3, 3, 2, 2, 7},
      {1, 6, 6, 8, 8, 1, 1, 1, 0, 1, 8},
      {3, 4, 4, 264, 264, 3, 3, 1, 1, 1, 264},
      {0, 4, 4, 8, 8, 3, 3, 1, 1, 1, 8},
      {1, 7, 9, 16, 16, 3, 5, 1, Pair(1, 2), 1, 16},
  };
}
/// Images of one to seven channels, which bf16 and float take in blocks of pixels.
std::vector<Conv2dShape> image_shapes() {
  return {
      {2, 14, 14, 3, 8, 7, 7, 2, 3}, {1, 13, 15, 3, 8, 7, 7, 2, 3},
      {2, 8, 7, 3, 16, 3, 3, 1, 1},  {2, 8, 9, 3, 5, 4, 4, 4},
      {1, 9, 8, 4, 6, 4, 4, 4},      {1, 9, 9, 7, 6, 3, 3, 2, 1},
      {1, 8, 8, 1, 6, 5, 5, 1, 0},   {1, 7, 9, 2, 6, 3, 5, Pair(2, 3), Pair(1, 2)},
      {1, 9, 9, 3, 4, 3, 3, 4, 1},  // pixels between kernels: not in blocks
  };
}

TEST_CASE_TEMPLATE("convolutions on CUDA are those of the CPU", T, float, double, bf16) {
  for (const auto& shapes : {dense_shapes(), grouped_shapes(), depthwise_shapes(), image_shapes()})
    for (const Conv2dShape& s : shapes) {
      CAPTURE(test::conv_text(s));
      CHECK(conv_distance<T>(s) <= test::device_tolerance<T>);
    }
}

TEST_CASE("convolutions of random options on CUDA are those of the CPU") {
  int round = 0;
  test::for_random_convolutions(29, [&](const Conv2dShape& s) {
    if (round++ % 2) return;
    CHECK(conv_distance<double>(s, false) <= test::device_tolerance<double>);
  });
}

TEST_CASE_TEMPLATE("bias, residual and ReLU ride on every convolution", T, float, double, bf16) {
  for (const Conv2dShape& s :
       {Conv2dShape{2, 5, 6, 9, 11, 3, 3, 1, 1}, Conv2dShape{2, 4, 3, 9, 11, 1, 1},
        Conv2dShape{1, 6, 5, 16, 16, 3, 3, 1, 1, 1, 16}, Conv2dShape{1, 6, 5, 5, 5, 3, 3, 2, 1, 1, 5},
        Conv2dShape{1, 8, 8, 3, 8, 3, 3, 2, 1}}) {
    const test::ConvProblem<T> p(s);
    for (const int parts : {0, 1, 2, 3, 4, 5, 6, 7}) {
      const bool bias = parts & 1, residual = parts & 2, relu = parts & 4;
      CAPTURE(test::conv_text(s));
      CAPTURE(parts);
      const Device device = Device::cuda();
      const auto x = p.x.to(device), weight = p.weight.to(device), b = p.bias.to(device),
                 r = p.residual.to(device);
      Tensor<T> y({s.y_size()}, device);
      kernels::conv2d(Cuda{}, s, x.data(), weight.data(),
                      {bias ? b.data() : nullptr, residual ? r.data() : nullptr, relu}, y.data());
      CHECK(test::distance(y.to(Device::cpu()), p.finished_y(bias, residual, relu)) <=
            test::conv_tolerance<T>);
    }
  }
}

TEST_CASE_TEMPLATE("GELU rides on 1x1 convolutions", T, float, double, bf16) {
  const Conv2dShape s{2, 4, 3, 9, 11, 1, 1};
  const test::ConvProblem<T> p(s);
  const auto y = [&](auto device, Device where) {
    const auto x = p.x.to(where), weight = p.weight.to(where), b = p.bias.to(where);
    Tensor<T> result({s.y_size()}, where);
    kernels::conv2d(device, s, x.data(), weight.data(), {.bias = b.data(), .gelu = true}, result.data());
    return result.to(Device::cpu());
  };
  CHECK(test::distance(y(Cuda{}, Device::cuda()), y(Cpu{}, Device::cpu())) <= test::device_tolerance<T>);
}

TEST_CASE_TEMPLATE("gradients of convolutions are added where others were before", T, float, double, bf16) {
  for (const Conv2dShape& s :
       {Conv2dShape{2, 5, 6, 9, 11, 3, 3, 2, 1}, Conv2dShape{2, 4, 3, 9, 11, 1, 1},
        Conv2dShape{1, 6, 5, 16, 16, 3, 3, 1, 1, 1, 16}, Conv2dShape{1, 6, 5, 5, 5, 3, 3, 2, 1, 1, 5},
        Conv2dShape{1, 9, 8, 3, 8, 3, 3, 2, 1}}) {
    CAPTURE(test::conv_text(s));
    const test::ConvProblem<T> p(s);
    const Device device = Device::cuda();
    const auto x = p.x.to(device), weight = p.weight.to(device), dy = p.dy.to(device);
    const auto dx = p.before(s.x_size()).to(device).clone(),
               dw = p.before(s.weight_size()).to(device).clone();
    kernels::conv2d_grad_input(Cuda{}, s, weight.data(), dy.data(), dx.data(), true);
    kernels::conv2d_grad_weight(Cuda{}, s, x.data(), dy.data(), dw.data(), true);
    CHECK(test::distance(dx.to(Device::cpu()), p.dx(true)) <= test::conv_tolerance<T>);
    CHECK(test::distance(dw.to(Device::cpu()), p.dw(true)) <= test::conv_tolerance<T>);
  }
}

TEST_CASE("a ReLU on a convolution hands NaN on") {  // of double, which no library is asked for
  const auto x = full<double>({1, 1, 1, 9}, NAN, Device::cuda()),
             weight = ones<double>({2, 3, 3, 9}, Device::cuda());
  Tensor<double> y({1, 1, 1, 2}, Device::cuda());
  kernels::conv2d(Cuda{}, {1, 1, 1, 9, 2, 3, 3, 1, 1}, x.data(), weight.data(), {.relu = true}, y.data());
  CHECK(std::isnan(y.to(Device::cpu()).at({0, 0, 0, 1})));
}

}  // namespace
