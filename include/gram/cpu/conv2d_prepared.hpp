// SPDX-License-Identifier: MIT
#pragma once
#include <memory>

#include "gram/cpu/conv2d.hpp"

namespace gram::kernels {

/// The weights of a convolution in the order that its kernel reads, kept from call to call.
template <class T>
struct PreparedWeights {
  std::unique_ptr<Scratch<accum_t<T>>> packed;
  Isa isa = Isa::base;  ///< that the order is for
};

/// y = epilogue(convolution of x); `kept` is made by the first call. The same bits as conv2d.
template <class T>
void conv2d_prepared(Cpu device, const Conv2dShape& s, const T* x, const T* weight, PreparedWeights<T>& kept,
                     const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  const Index size = conv2d_packed_size<T>(s);
  if (size == 0 || product_precision() != Precision::float32) return conv2d(device, s, x, weight, epilogue, y);
  if (!kept.packed || kept.isa != isa()) {
    kept.packed = std::make_unique<Scratch<accum_t<T>>>(size), kept.isa = isa();
    conv2d_pack(device, s, weight, kept.packed->data());
  }
  conv2d_with_packed(device, s, x, kept.packed->data(), epilogue, y);
}

}  // namespace gram::kernels
