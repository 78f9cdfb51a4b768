// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// C (m, n) = op(A) (m, k) op(B) (k, n).
struct GemmShape {
  Index m, n, k;
};

/// Several products of one shape: how many, and the distance from one operand to the next (0: all use the
/// same).
struct GemmBatch {
  Index count;
  Index stride_a, stride_b, stride_c;
  Index stride_bias = 0;
};

namespace detail {
/// Above zero while this thread wants products of floats as they are; FullPrecision counts it.
inline thread_local int full_precision_scopes = 0;
}  // namespace detail

/// What becomes of a finished sum s: c = [relu or GELU](s [+ bias] [+ residual] [+ c]).
template <class T>
struct GemmEpilogue {
  const T* bias = nullptr;      ///< one value for each column of the tile
  bool add = false;             ///< add to what c holds
  bool relu = false;            ///< max(0, .); NaN stays NaN, but a library of a GPU may make 0 of it
  const T* residual = nullptr;  ///< residual[p - base] belongs to the element at p
  const T* base = nullptr;      ///< the first element of the whole result; needed with a residual only
  bool gelu = false;            ///< x Phi(x), on the stored tile while the L1 cache has it
};

}  // namespace gram
