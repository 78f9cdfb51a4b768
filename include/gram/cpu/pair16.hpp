// SPDX-License-Identifier: MIT
// Vectors of pairs of bf16, two to a lane of 32 bits: how they are made of floats and multiplied.
#pragma once
#include "gram/cpu/panel.hpp"
#include "gram/cpu/product_precision.hpp"

namespace gram::cpu {

/// Two bf16 that are multiplied together, the first in the lower half.
using Pair16 = std::uint32_t;

}  // namespace gram::cpu

#define GRAM_KERNEL_FILE "gram/cpu/pair16.inl"
#include "gram/cpu/for_each_bf16_isa.hpp"

#if defined(__x86_64__)
#define GRAM_SELECT_BF16(table) \
  (isa() == Isa::avx512 && has_bf16_products() ? avx512_bf16::table : GRAM_SELECT(table))
#else
#define GRAM_SELECT_BF16(table) GRAM_SELECT(table)
#endif
