// SPDX-License-Identifier: MIT
#pragma once
#include <memory>

#include "gram/cpu/conv2d.hpp"

namespace gram::kernels {

/// The weights of a convolution in the order that its kernel reads, kept from call to call: as floats, or as
/// pairs of bf16 where products round their operands.
template <class T>
struct PreparedWeights {
  std::unique_ptr<Scratch<accum_t<T>>> packed;
  std::unique_ptr<Scratch<cpu::Pair16>> rounded;
  Isa isa = Isa::base;      ///< what the order is for
  Index winograd_tile = 0;  ///< 0: the direct form

  bool kept() const { return packed || rounded; }
  void clear() { packed.reset(), rounded.reset(); }
};

/// y = epilogue(convolution of x). `kept` is made of weight() by the first call, and again when maps of
/// another size or another setting want another form; where there is none, it is empty.
template <class T, class Weight>
void conv2d_prepared(Cpu device, const Conv2dShape& s, const T* x, Weight&& weight, PreparedWeights<T>& kept,
                     const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  cpu::WinogradPlan plan{s, 0};
  bool rounds = false;
  if constexpr (std::is_same_v<T, float>) {
    plan = cpu::forward_plan(s, cpu::WinogradWeights::kept);
    rounds = !plan && cpu::rounds(s);
  }
  if (kept.isa != isa() || kept.winograd_tile != plan.tile || rounds != (kept.rounded != nullptr))
    kept.clear();
  const bool fresh = !kept.kept();
  kept.isa = isa(), kept.winograd_tile = plan.tile;
  if constexpr (std::is_same_v<T, float>)
    if (rounds) {
      if (fresh) {
        kept.rounded = std::make_unique<Scratch<cpu::Pair16>>(conv2d_rounded_size(s));
        conv2d_round(device, s, weight(), kept.rounded->data());
      }
      return conv2d_with_rounded(device, s, x, kept.rounded->data(), epilogue, y);
    }
  const Index size = plan ? cpu::winograd_weights_size<accum_t<T>>(plan) : conv2d_packed_size<T>(s);
  if (size == 0) return conv2d(device, s, x, static_cast<const T*>(weight()), epilogue, y);
  if (fresh) kept.packed = std::make_unique<Scratch<accum_t<T>>>(size);
  accum_t<T>* const packed = kept.packed->data();
  if constexpr (std::is_same_v<T, float>)
    if (plan) {
      if (fresh) cpu::winograd_pack(plan, cpu::WinogradKernel::forward, weight(), packed);
      return cpu::winograd_forward(plan, x, packed, epilogue, y);
    }
  if (fresh) conv2d_pack(device, s, static_cast<const T*>(weight()), packed);
  conv2d_with_packed(device, s, x, packed, epilogue, y);
}

}  // namespace gram::kernels
