// SPDX-License-Identifier: MIT
// With gram::compiled: tells the compiler what it need not compile again. Included by gram.hpp; those who
// include single headers link the same library and compile a little more.
#pragma once
#if defined(GRAM_COMPILED)
#include "gram/gram.hpp"

#define GRAM_TEMPLATE extern template
#define GRAM_SCALAR float
#include "gram/compiled.inl"
#undef GRAM_SCALAR
#define GRAM_SCALAR double
#include "gram/compiled.inl"
#undef GRAM_SCALAR
#define GRAM_SCALAR bf16
#include "gram/compiled.inl"
#undef GRAM_SCALAR
#undef GRAM_TEMPLATE
#endif
