// SPDX-License-Identifier: MIT
// Convolution on channels-last maps: x (N, H, W, C), weight (O, Kh, Kw, C/G), bias (O) or null, y (N, H', W',
// O). bf16 is computed in float.
#pragma once
#include "gram/core/device.hpp"
#include "gram/cpu/conv2d_groups.hpp"
#include "gram/cpu/conv2d_weight.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cpu/depthwise.hpp"
#include "gram/cpu/sum_rows.hpp"
#include "gram/cpu/winograd_weight.hpp"

namespace gram::cpu {

/// A copy of n elements of a bf16 array in float; null for null.
class FloatCopy {
 public:
  FloatCopy(const bf16* x, Index n) : copy_(x ? n : 0), data_(x ? copy_.data() : nullptr) {
    if (x) kernels::convert(Cpu{}, x, data_, n);
  }
  const float* data() const { return data_; }

 private:
  Scratch<float> copy_;
  float* data_;
};

/// compute(float*) fills n floats, which become (or are added to) y.
template <class F>
void through_float(bf16* y, Index n, bool add, F&& compute) {
  Scratch<float> result(n);
  if (add) kernels::convert(Cpu{}, y, result.data(), n);
  compute(result.data());
  kernels::convert(Cpu{}, result.data(), y, n);
}

}  // namespace gram::cpu

namespace gram::kernels {

/// y = convolution of x (+ bias).
template <class T>
void conv2d(Cpu device, const Conv2dShape& s, const T* x, const T* weight, const T* bias, T* y) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fx(x, s.x_size()), fw(weight, s.weight_size()), fb(bias, s.o);
    cpu::through_float(y, s.y_size(), false,
                       [&](float* fy) { conv2d(device, s, fx.data(), fw.data(), fb.data(), fy); });
  } else {
    if constexpr (std::is_same_v<T, float>)
      if (const auto plan = cpu::allowed(cpu::winograd_plan(s)))
        return cpu::winograd_convolve(plan, cpu::WinogradKernel::forward, x, weight, {.bias = bias}, y);
    const cpu::Correlation c = cpu::forward_correlation(s);
    if (cpu::is_depthwise(s)) return cpu::depthwise_correlate(s, c, x, weight, bias, y, false);
    if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
      Scratch<T> wide(s.weight_size() * count);
      cpu::spread_groups(s, count, weight, wide.data());
      return conv2d(device, cpu::merge_groups(s, count), x, wide.data(), bias, y);
    }
    Scratch<T> panels(cpu::packed_weights_size<T>(c));
    cpu::pack_forward(s, weight, panels.data());
    cpu::correlate(c, x, panels.data(), bias, y, false);
  }
}

/// dx (+)= the gradient of the input.
template <class T>
void conv2d_grad_input(Cpu device, const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fw(weight, s.weight_size()), fdy(dy, s.y_size());
    cpu::through_float(dx, s.x_size(), add,
                       [&](float* fdx) { conv2d_grad_input(device, s, fw.data(), fdy.data(), fdx, add); });
  } else {
    if constexpr (std::is_same_v<T, float>)
      if (const auto plan = cpu::allowed(cpu::winograd_plan(cpu::winograd_gradient_shape(s))))
        return cpu::winograd_convolve(plan, cpu::WinogradKernel::flipped, dy, weight,
                                      {.residual = add ? dx : nullptr}, dx);
    if (cpu::is_depthwise(s))
      return cpu::for_each_phase(s, [&](const cpu::Correlation& c) {
        if (c.taps() > 0 || !add) cpu::depthwise_correlate<T>(s, c, dy, weight, nullptr, dx, add);
      });
    if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
      Scratch<T> wide(s.weight_size() * count);
      cpu::spread_groups(s, count, weight, wide.data());
      return conv2d_grad_input(device, cpu::merge_groups(s, count), wide.data(), dy, dx, add);
    }
    cpu::for_each_phase(s, [&](const cpu::Correlation& c) {
      if (c.taps() == 0 && add) return;
      Scratch<T> panels(cpu::packed_weights_size<T>(c));
      cpu::pack_backward(s, c, weight, panels.data());
      cpu::correlate<T>(c, dy, panels.data(), nullptr, dx, add);
    });
  }
}

/// dw (+)= the gradient of the weight.
template <class T>
void conv2d_grad_weight(Cpu device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fx(x, s.x_size()), fdy(dy, s.y_size());
    cpu::through_float(dw, s.weight_size(), add,
                       [&](float* fdw) { conv2d_grad_weight(device, s, fx.data(), fdy.data(), fdw, add); });
  } else {
    if constexpr (std::is_same_v<T, float>)
      if (const auto plan = cpu::allowed(cpu::winograd_weight_plan(s)))
        return cpu::winograd_grad_weight(plan, x, dy, dw, add);
    if (cpu::is_depthwise(s)) return cpu::depthwise_weight(s, x, dy, dw, add);
    if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
      Scratch<T> wide(s.weight_size() * count);
      cpu::correlate_pixels(cpu::merge_groups(s, count), x, dy, wide.data(), false);
      return cpu::collect_groups(s, count, wide.data(), dw, add);
    }
    cpu::correlate_pixels(s, x, dy, dw, add);
  }
}

/// db (+)= the sum of dy over images and pixels.
template <class T>
void conv2d_grad_bias(Cpu device, const Conv2dShape& s, const T* dy, T* db, bool add) {
  sum_rows(device, s.n * s.out_h() * s.out_w(), s.o, dy, db, add);
}

}  // namespace gram::kernels
