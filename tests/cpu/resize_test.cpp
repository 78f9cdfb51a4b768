// SPDX-License-Identifier: MIT
#include "gram/cpu/resize.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;

namespace {

std::vector<double> matrix(const cpu::AxisTaps<double>& taps, bool transpose) {
  std::vector<double> m(static_cast<std::size_t>(taps.in * taps.out));
  for (Index o = 0; o < taps.out; ++o) {
    const auto tap = taps.tap(o);
    for (Index k = 0; k < tap.count; ++k)
      m[static_cast<std::size_t>(transpose ? (tap.begin + k) * taps.out + o : o * taps.in + tap.begin + k)] =
          tap.weight[k];
  }
  return m;
}

}  // namespace

TEST_CASE("the weights of a gradient are the transposed weights of its axis") {
  using enum ResampleAxis::Kind;
  for (const auto kind : {adaptive, nearest, bilinear, align_corners})
    for (const Index in : {1, 2, 5, 8})
      for (const Index out : {1, 3, 5, 17}) {
        const ResampleAxis axis{kind, in, out};
        CHECK(matrix(cpu::AxisTaps<double>(axis), false) ==
              matrix(cpu::AxisTaps<double>::transposed(axis), true));
      }
  for (const auto kind : {window, window_with_pad}) {
    const ResampleAxis axis{kind, 7, 4, 3, 2, 1}, gaps{kind, 7, 3, 1, 3, 0};
    CHECK(matrix(cpu::AxisTaps<double>(axis), false) ==
          matrix(cpu::AxisTaps<double>::transposed(axis), true));
    CHECK(matrix(cpu::AxisTaps<double>(gaps), false) ==
          matrix(cpu::AxisTaps<double>::transposed(gaps), true));
  }
}

TEST_CASE("all weights of a resampling sum to one, where no padding counts") {
  using enum ResampleAxis::Kind;
  for (const ResampleAxis& axis :
       {ResampleAxis{window, 7, 4, 3, 2, 1}, ResampleAxis{adaptive, 7, 3}, ResampleAxis{nearest, 3, 8},
        ResampleAxis{bilinear, 5, 9}, ResampleAxis{align_corners, 4, 7}}) {
    const cpu::AxisTaps<double> taps(axis);
    for (Index o = 0; o < taps.out; ++o) {
      const auto tap = taps.tap(o);
      double sum = 0;
      for (Index k = 0; k < tap.count; ++k) sum += tap.weight[k];
      CHECK(sum == doctest::Approx(1));
    }
  }
}
