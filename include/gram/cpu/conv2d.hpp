// SPDX-License-Identifier: MIT
// Convolution on channels-last maps: x (N, H, W, C), weight (O, Kh, Kw, C/G), y (N, H', W', O). bf16 is
// computed in float.
#pragma once
#include "gram/cpu/conv2d_patches.hpp"
#include "gram/cpu/conv2d_rounded.hpp"
#include "gram/cpu/conv2d_weight.hpp"
#include "gram/cpu/conv2d_weight_bf16.hpp"
#include "gram/cpu/sum_rows.hpp"
#include "gram/cpu/winograd_weight.hpp"

namespace gram::kernels {

/// y = epilogue(convolution of x).
template <class T>
void conv2d(Cpu device, const Conv2dShape& s, const T* x, const T* weight,
            const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fx(x, s.x_size()), fw(weight, s.weight_size()), bias(epilogue.bias, s.o),
        residual(epilogue.residual, s.y_size());
    cpu::through_float(y, s.y_size(), false, [&](float* fy) {
      conv2d(device, s, fx.data(), fw.data(), {bias.data(), residual.data(), epilogue.relu, epilogue.gelu},
             fy);
    });
  } else if (cpu::is_dense_pointwise(s) && s.groups == 1) {  // one channel is depthwise, too
    gemm(device, {s.n * s.h * s.w, s.o, s.c}, x, s.c, false, weight, s.c, true, y, s.o,
         cpu::tile_epilogue(epilogue, y));
  } else if (cpu::is_depthwise(s)) {
    cpu::depthwise_correlate(s, cpu::forward_correlation(s), x, weight, cpu::tile_epilogue(epilogue, y), y);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (const auto plan = cpu::forward_plan(s, cpu::WinogradWeights::made))
        return cpu::winograd_convolve(plan, cpu::WinogradKernel::forward, x, weight, epilogue, y);
      if (cpu::rounds(s)) {
        Scratch<cpu::Pair16> rounded(conv2d_rounded_size(s));
        conv2d_round(device, s, weight, rounded.data());
        return conv2d_with_rounded(device, s, x, rounded.data(), epilogue, y);
      }
    }
    Scratch<T> packed(conv2d_packed_size<T>(s));
    conv2d_pack(device, s, weight, packed.data());
    conv2d_with_packed(device, s, x, packed.data(), epilogue, y);
  }
}

/// dx (+)= the gradient of the input.
template <class T>
void conv2d_grad_input(Cpu device, const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fw(weight, s.weight_size()), fdy(dy, s.y_size());
    cpu::through_float(dx, s.x_size(), add,
                       [&](float* fdx) { conv2d_grad_input(device, s, fw.data(), fdy.data(), fdx, add); });
  } else if (cpu::is_depthwise(s)) {
    for (const cpu::Correlation& c : cpu::backward_correlations(s))
      if (c.taps() > 0 || !add) cpu::depthwise_correlate<T>(s, c, dy, weight, {.add = add}, dx);
  } else if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
    Scratch<T> wide(s.weight_size() * count);
    cpu::spread_groups(s, count, weight, wide.data());
    conv2d_grad_input(device, cpu::merge_groups(s, count), wide.data(), dy, dx, add);
  } else if (cpu::is_dense_pointwise(s)) {
    cpu::pointwise_input(s, weight, dy, dx, add);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (const auto plan = cpu::gradient_plan(s))
        return cpu::winograd_convolve(plan, cpu::WinogradKernel::flipped, dy, weight,
                                      {.residual = add ? dx : nullptr}, dx);
      if (cpu::rounds_gradient(s)) return cpu::correlate_backward<cpu::RoundedWords>(s, weight, dy, dx, add);
    }
    cpu::correlate_backward<cpu::PlainWords<T>>(s, weight, dy, dx, add);
  }
}

/// dw (+)= the gradient of the weight.
template <class T>
void conv2d_grad_weight(Cpu device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy fx(x, s.x_size()), fdy(dy, s.y_size());
    cpu::through_float(dw, s.weight_size(), add,
                       [&](float* fdw) { conv2d_grad_weight(device, s, fx.data(), fdy.data(), fdw, add); });
  } else if (cpu::is_depthwise(s)) {
    cpu::depthwise_weight(s, x, dy, dw, add);
  } else if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
    Scratch<T> wide(s.weight_size() * count);
    conv2d_grad_weight(device, cpu::merge_groups(s, count), x, dy, wide.data(), false);
    cpu::collect_groups(s, count, wide.data(), dw, add);
  } else if (cpu::is_pointwise(s)) {
    cpu::pointwise_weight(s, x, dy, dw, add);
  } else if (cpu::prefers_patches(s, cpu::tile_table<T>().lanes)) {
    cpu::patch_weight(s, x, dy, dw, add);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (const auto plan = cpu::allowed(cpu::winograd_weight_plan(s)))
        return cpu::winograd_grad_weight(plan, x, dy, dw, add);
      if (cpu::rounds_weight(s)) return cpu::correlate_pixels_rounded(s, x, dy, dw, add);
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
