// SPDX-License-Identifier: MIT
// Convolutions whose weights are brought into the order of the micro-kernel once, for networks that are only
// run. A convolution that packs each time gives the same bits.
//
// The order depends on the instruction set and on the shape's groups and kernel, but not on the size of the
// maps or their number.
#pragma once
#include "gram/core/device.hpp"
#include "gram/cpu/conv2d_groups.hpp"
#include "gram/cpu/conv2d_pointwise.hpp"
#include "gram/cpu/depthwise.hpp"
#include "gram/cpu/float_copy.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram::cpu {

/// The shape that a convolution is computed as, its narrow groups merged.
template <class T>
Conv2dShape computed_shape(const Conv2dShape& s) {
  return merge_groups(s, groups_of_a_vector(s, tile_table<T>().lanes));
}

/// The epilogue of a convolution for the tiles of y.
template <class T>
TileEpilogue<T> tile_epilogue(const Conv2dEpilogue<T>& e, const T* y) {
  return {.bias = e.bias, .relu = e.relu, .residual = e.residual, .base = y, .gelu = e.gelu};
}

}  // namespace gram::cpu

namespace gram::kernels {

/// Elements of packed weights, 0 where there is no such form (depthwise convolutions).
template <class T>
Index conv2d_packed_size(const Conv2dShape& s) {
  using A = accum_t<T>;
  if (cpu::is_depthwise(s)) return 0;
  return cpu::packed_weights_size<A>(cpu::forward_correlation(cpu::computed_shape<A>(s)));
}

/// Packs weight (O, Kh, Kw, C/G); bf16 is widened.
template <class T>
void conv2d_pack(Cpu device, const Conv2dShape& s, const T* weight, accum_t<T>* packed) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy wide(weight, s.weight_size());
    conv2d_pack(device, s, wide.data(), packed);
  } else if (const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<T>().lanes); count > 1) {
    Scratch<T> wide(s.weight_size() * count);
    cpu::spread_groups(s, count, weight, wide.data());
    cpu::pack_forward(cpu::merge_groups(s, count), wide.data(), packed);
  } else {
    cpu::pack_forward(s, weight, packed);
  }
}

/// y = epilogue(convolution of x with packed weights).
template <class T>
void conv2d_with_packed(Cpu device, const Conv2dShape& s, const T* x, const accum_t<T>* packed,
                        const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  if constexpr (std::is_same_v<T, bf16>) {
    const cpu::FloatCopy wide(x, s.x_size()), bias(epilogue.bias, s.o),
        residual(epilogue.residual, s.y_size());
    cpu::through_float(y, s.y_size(), false, [&](float* wide_y) {
      conv2d_with_packed(device, s, wide.data(), packed,
                         {bias.data(), residual.data(), epilogue.relu, epilogue.gelu}, wide_y);
    });
  } else {
    const Conv2dShape computed = cpu::computed_shape<T>(s);
    const cpu::TileEpilogue<T> e = cpu::tile_epilogue(epilogue, y);
    const Index pixels = s.n * s.h * s.w;
    if (!cpu::is_dense_pointwise(s))
      cpu::correlate(cpu::forward_correlation(computed), x, packed, e, y);
    else if (computed.groups == 1)
      cpu::gemm_packed({pixels, s.o, s.c}, x, s.c, packed, y, s.o, e);
    else
      cpu::multiply_groups(pixels, computed.groups, computed.group_in(), computed.group_out(), x, packed, y,
                           e);
  }
}

}  // namespace gram::kernels
