// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_shape.hpp"

#include <algorithm>
#include <vector>

#include "support.hpp"

using namespace gram;
using cpu::Axis;

namespace {

/// w[i][k] counts how often input i meets tap k at output o, as an axis says.
struct Meeting {
  Index input, tap, output;
  bool operator==(const Meeting&) const = default;
  auto operator<=>(const Meeting&) const = default;
};

std::vector<Meeting> forward_meetings(const Axis& axis) {
  std::vector<Meeting> all;
  for (Index o = 0; o < axis.out; ++o)
    for (Index t = 0; t < axis.taps; ++t) {
      const Index i = axis.first + o * axis.stride + t * axis.dilation;
      if (i >= 0 && i < axis.in)
        all.push_back({i, axis.w_first + t * axis.w_step, axis.y_first + o * axis.y_step});
    }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("the phases of the input gradient are the forward pass read backwards") {
  for (const Index in : {1, 5, 8})
    for (const Index kernel : {1, 2, 3, 5})
      for (const Index stride : {1, 2, 3, 4})
        for (const Index padding : {0, 1, 4})
          for (const Index dilation : {1, 2, 3, 6}) {
            const Index reach = (kernel - 1) * dilation + 1;
            if (reach > in + 2 * padding) continue;
            CAPTURE(text("in ", in, " kernel ", kernel, " stride ", stride, " padding ", padding,
                         " dilation ", dilation));
            const Index out = (in + 2 * padding - reach) / stride + 1;
            const auto forward =
                forward_meetings(cpu::forward_axis(in, out, kernel, stride, padding, dilation));
            std::vector<Meeting> backward;
            std::vector<int> written(static_cast<std::size_t>(in));
            for (Index phase = 0; phase < std::min(stride, in); ++phase) {
              const Axis axis = cpu::backward_axis(in, out, kernel, stride, padding, dilation, phase);
              for (Index q = 0; q < axis.out; ++q)
                ++written[static_cast<std::size_t>(axis.y_first + q * axis.y_step)];
              for (const auto& [output, tap, input] : forward_meetings(axis))
                backward.push_back({input, tap, output});
            }
            std::sort(backward.begin(), backward.end());
            CHECK(forward == backward);
            CHECK(written == std::vector<int>(static_cast<std::size_t>(in), 1));
          }
}

TEST_CASE("a cover looks at all that its phases look at, and no further") {
  for (const Index size : {5, 8})
    for (const Index kernel : {1, 2, 3, 5})
      for (const Index stride : {1, 2, 3})
        for (const Index padding : {0, 1, 4})
          for (const Index dilation : {1, 2}) {
            const Conv2dShape s{.n = 1,
                                .h = size,
                                .w = size + 1,
                                .c = 1,
                                .o = 1,
                                .kh = kernel,
                                .kw = 1,
                                .stride = stride,
                                .padding = padding,
                                .dilation = dilation};
            if (s.reach_h() > s.h + 2 * padding || s.reach_w() > s.w + 2 * padding) continue;
            CAPTURE(text("size ", size, " kernel ", kernel, " stride ", stride, " padding ", padding,
                         " dilation ", dilation));
            const auto phases = cpu::backward_correlations(s);
            const cpu::Correlation all = cpu::cover(phases);
            Index first = 100, last = -100, out = 0;
            for (const cpu::Correlation& phase : phases) {
              out = std::max(out, phase.h.out);
              if (phase.taps() == 0) continue;
              first = std::min(first, phase.h.first);
              last = std::max(last, phase.h.first + (phase.h.taps - 1) * phase.h.dilation);
            }
            CHECK(all.h.out == out);
            if (first > last) {
              CHECK(all.taps() == 0);
              continue;
            }
            CHECK(all.h.first == first);
            CHECK(all.h.first + all.h.span(1) - 1 == last);
          }
}
