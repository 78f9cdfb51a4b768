// SPDX-License-Identifier: MIT
#pragma once

/// In front of a function that kernels call. Without nvcc it is an ordinary inline function, so that formulas
/// can be tested by themselves.
#if defined(__CUDACC__)
#define GRAM_DEVICE __device__ __forceinline__
#else
#define GRAM_DEVICE inline
#endif

/// In front of a loop whose turns should be started n at a time, so that that many loads are under way.
#if defined(__CUDACC__)
#define GRAM_PRAGMA(words) _Pragma(#words)
#define GRAM_UNROLL_BY(n) GRAM_PRAGMA(unroll n)
#else
#define GRAM_UNROLL_BY(n)
#endif
