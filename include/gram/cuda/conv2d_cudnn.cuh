// SPDX-License-Identifier: MIT
// Convolutions by cuDNN, for bf16 and float. Each function says whether it did the work: where cuDNN has no
// plan, or memory lies as it does not take it, nothing has happened.
#pragma once
#include "gram/cuda/conv2d_geometry.cuh"
#include "gram/cuda/conv2d_graph.cuh"
#include "gram/cuda/copy.cuh"
#include "gram/cuda/gemm.cuh"
#include "gram/cuda/plan_cache.cuh"

namespace gram::cuda {

inline std::string cudnn_description() {
  const std::size_t version = cudnnGetVersion();
  return text("cuDNN ", version / 10000, ".", version / 100 % 100, ".", version % 100);
}

template <class T>
bool may_round() {
  return std::is_same_v<T, bf16> || gemm_settings.tf32;
}
template <class T>
PlanKey conv_key(std::string_view operation, const Conv2dShape& s, Index epilogue = 0) {
  return {operation,
          {cudnn_type<T>, s.n, s.h, s.w, s.c, s.o, s.kh, s.kw, s.stride.h, s.stride.w, s.padding.h,
           s.padding.w, s.dilation.h, s.dilation.w, s.groups, epilogue, may_round<T>()}};
}

template <class T>
bool cudnn_conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
                  const Conv2dEpilogue<T>& epilogue, T* y) {
  if (std::is_same_v<T, double> || !are_aligned(x, weight, y, epilogue.bias, epilogue.residual)) return false;
  const auto parts_of = [](bool bias, bool residual, bool relu) {
    return Index{bias} + 2 * Index{residual} + 4 * Index{relu};
  };
  const auto run = [&](bool bias, bool residual, bool relu) {
    std::vector<void*> pointers{operand(x), operand(weight), y};
    if (bias) pointers.push_back(operand(epilogue.bias));
    if (residual) pointers.push_back(operand(epilogue.residual));
    const auto make_graph = [&] { return conv2d_graph<T>(s, bias, residual, relu); };
    return run_plan(device, conv_key<T>("conv2d", s, parts_of(bias, residual, relu)), may_round<T>(),
                    make_graph, pointers);
  };
  const auto in_one = [&] { return run(epilogue.bias, epilogue.residual, epilogue.relu); };
  if (!epilogue.bias && !epilogue.residual && !epilogue.relu && !epilogue.gelu) return in_one();
  const auto in_two = [&] {
    if (!run(false, false, false)) return false;
    const GemmShape pixels{s.n * s.out_h() * s.out_w(), s.o, 0};
    finish(device, GemmArguments<T, T>{pixels,
                                       one_product,
                                       nullptr,
                                       nullptr,
                                       y,
                                       0,
                                       0,
                                       s.o,
                                       false,
                                       false,
                                       {.bias = epilogue.bias,
                                        .relu = epilogue.relu,
                                        .residual = epilogue.residual,
                                        .gelu = epilogue.gelu}});
    return true;
  };
  // cuDNN fuses the most by older kernels, which may lose more than a pass over y takes.
  const PlanKey key =
      conv_key<T>("conv2d and a pass", s, parts_of(epilogue.bias, epilogue.residual, epilogue.relu));
  if (epilogue.gelu || first_is_faster(device, key, in_two, in_one)) return in_two();
  return in_one() || in_two();
}

/// The result of f(memory): written to `to`, or made aside and added to it.
template <class T, class F>
bool written_or_added(Cuda device, T* to, Index n, bool add, const F& f) {
  if (!add) return f(to);
  DeviceScratch<T> aside(device, n);
  if (!f(aside.data())) return false;
  accumulate(device, static_cast<const T*>(aside.data()), to, n);
  return true;
}

template <class T>
bool cudnn_conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx,
                             bool add) {
  if (std::is_same_v<T, double> || !are_aligned(weight, dy, dx)) return false;
  return written_or_added(device, dx, s.x_size(), add, [&](T* to) {
    return run_plan(device, conv_key<T>("conv2d_grad_input", s), may_round<T>(),
                    [&] { return conv2d_grad_input_graph<T>(s); }, {operand(dy), operand(weight), to});
  });
}

template <class T>
bool cudnn_conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  if (std::is_same_v<T, double> || !are_aligned(x, dy, dw)) return false;
  return written_or_added(device, dw, s.weight_size(), add, [&](T* to) {
    return run_plan(device, conv_key<T>("conv2d_grad_weight", s), may_round<T>(),
                    [&] { return conv2d_grad_weight_graph<T>(s); }, {operand(x), operand(dy), to});
  });
}

}  // namespace gram::cuda
