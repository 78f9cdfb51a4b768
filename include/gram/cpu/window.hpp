// SPDX-License-Identifier: MIT
// Windows of a map, copied out of it and back.
#pragma once
#include "gram/core/pair.hpp"
#include "gram/cpu/transpose.hpp"
#include "gram/kernels/window.hpp"

namespace gram {

namespace cpu {

/// f(offset in the map, offset in the windows) for every run of `width` channels, rows of the map in
/// parallel.
template <class F>
void for_each_window_run(const WindowShape& s, F&& f) {
  const Index across = s.w / s.window.w, block = s.c / s.parts;
  const Index rows = std::max<Index>(1, kernels::grain / std::max<Index>(1, s.w * s.channels()));
  parallel_for(s.n * s.h, rows, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const Index first = row / s.window.h * across, inside = row % s.window.h * s.window.w;
      for (Index x = 0; x < s.w; ++x) {
        const Index token = (first + x / s.window.w) * s.tokens() + inside + x % s.window.w;
        for (Index part = 0; part < s.parts; ++part)
          f((row * s.w + x) * s.c + part * block + s.begin, (token * s.parts + part) * s.width);
      }
    }
  });
}

}  // namespace cpu

namespace kernels {

/// windows (N windows, tokens, channels) (+)= those of the map.
template <class T>
void cut_windows(Cpu, const WindowShape& s, const T* map, T* windows, bool add) {
  cpu::for_each_window_run(
      s, [=, width = s.width](Index at, Index to) { cpu::copy_run(map + at, windows + to, width, add); });
}
/// The channels of the map that the windows hold (+)= the windows.
template <class T>
void join_windows(Cpu, const WindowShape& s, const T* windows, T* map, bool add) {
  cpu::for_each_window_run(
      s, [=, width = s.width](Index to, Index at) { cpu::copy_run(windows + at, map + to, width, add); });
}

}  // namespace kernels
}  // namespace gram
