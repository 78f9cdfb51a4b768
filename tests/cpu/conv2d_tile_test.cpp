// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_tile.hpp"

#include <vector>

#include "isa_and_threads.hpp"

using namespace gram;

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
