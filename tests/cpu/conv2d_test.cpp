// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d.hpp"

#include <vector>

#include "isa_and_threads.hpp"

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

TEST_CASE("blocks of pixels cover every row of every map once") {
  for (const Index n : {0, 1, 3, 40})
    for (const Index out : {1, 7, 32})
      for (const Index rows : {0, 1, 5, 100})
        for (const Index at_least : {1, 16}) {
          const auto blocks = cpu::PixelBlocks::cut(n, out, rows, at_least);
          std::vector<int> seen(static_cast<std::size_t>(n * out));
          for (Index b = 0; b < blocks.count(); ++b) {
            const auto block = blocks[b];
            CHECK(block.images * block.rows <= blocks.images * blocks.rows);
            for (Index i = 0; i < block.images; ++i)
              for (Index r = 0; r < block.rows; ++r)
                ++seen[static_cast<std::size_t>((block.image + i) * out + block.y + r)];
          }
          CHECK(seen == std::vector<int>(static_cast<std::size_t>(n * out), 1));
        }
}

TEST_CASE("a window is the map where they meet and zero elsewhere") {
  const Index h = 4, w = 5, c = 21;
  const auto x = randn<float>({h, w, c}, 1);
  test::for_each_isa([&] {
    for (const Index y0 : {-2, 0, 3, 6})
      for (const Index x0 : {-7, -1, 2, 9})
        for (const Index channels : {1, 17, 21})
          for (const Index width : {channels, channels + 3}) {
            const Index rows = 3, columns = 6, first = c - channels;
            std::vector<float> copy(static_cast<std::size_t>(rows * columns * width), -1);
            cpu::copy_window(cpu::conv2d_table<float>(), cpu::MapView<float>{x.data() + first, h, w, c}, y0,
                             rows, x0, columns, channels, copy.data(), width);
            bool right = true;
            for (Index i = 0; i < rows * columns * width; ++i) {
              const Index k = i % width, v = x0 + i / width % columns, u = y0 + i / (width * columns);
              const bool inside = k < channels && u >= 0 && u < h && v >= 0 && v < w;
              right = right && copy[static_cast<std::size_t>(i)] == (inside ? x.at({u, v, first + k}) : 0);
            }
            CHECK(right);
          }
  });
}

TEST_CASE("the tile of the weight gradient, for every height and width") {
  constexpr Index strip = cpu::PixelProduct<double>::strip, rows = 2, width = 5, step = 3;
  const Index row[] = {40, 0};
  test::for_each_isa([&] {
    const auto& table = cpu::conv2d_table<double>();
    for (const Index m : {1, 4, 8, 23, 24, 30})
      for (Index n = 1; n <= 2 * table.tile_width + 1; ++n) {
        const auto x = randn<double>({40 + width * step + n + table.tile_width}, 1);
        const auto dy = randn<double>({ceil_div(m, strip), rows * width, strip}, 2);
        const auto before = randn<double>({m, n + 1}, 3);
        auto c = before.clone(), expected = before.clone();
        for (Index i = 0; i < m; ++i)
          for (Index j = 0; j < n; ++j) {
            double sum = 0;
            for (Index p = 0; p < rows * width; ++p)
              sum += dy.at({i / strip, p, i % strip}) * x.data()[row[p / width] + p % width * step + j];
            expected.at({i, j}) += sum;
          }
        table.pixel_product({rows, width, dy.data(), x.data(), row, step}, m, n, c.data(), n + 1, true);
        CHECK(test::close(c, expected, 1e-13));
        table.pixel_product({rows, width, dy.data(), x.data(), row, step}, m, n, c.data(), n + 1, false);
        for (Index i = 0; i < m * (n + 1); ++i)
          if (i % (n + 1) < n) expected.data()[i] -= before.data()[i];
        CHECK(test::close(c, expected, 1e-13));
      }
  });
}
