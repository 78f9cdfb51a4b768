// SPDX-License-Identifier: MIT
// log, tanh, sigmoid, GELU on vectors, for kernel files to use; exp and sqrt are in simd.inl.
#pragma once
#include "gram/cpu/simd.hpp"

#define GRAM_KERNEL_FILE "gram/cpu/math.inl"
#include "gram/cpu/for_each_isa.hpp"
