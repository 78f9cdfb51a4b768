// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_direct.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// In place and copied, merged taps and single ones, several groups, images and blocks to a task.
const Conv2dShape cases[] = {
    {.n = 2, .h = 5, .w = 4, .c = 3, .o = 5, .kh = 1, .kw = 1},
    {.n = 3, .h = 6, .w = 7, .c = 4, .o = 18, .kh = 3, .kw = 3},
    {.n = 2, .h = 6, .w = 7, .c = 4, .o = 6, .kh = 3, .kw = 3, .padding = 1},
    {.n = 1,
     .h = 9,
     .w = 8,
     .c = 6,
     .o = 9,
     .kh = 3,
     .kw = 2,
     .stride = {2, 3},
     .padding = {1, 0},
     .groups = 3},
    {.n = 2, .h = 9, .w = 11, .c = 2, .o = 40, .kh = 2, .kw = 3, .padding = 2, .dilation = {2, 3}},
    {.n = 1, .h = 11, .w = 10, .c = 4, .o = 4, .kh = 3, .kw = 3, .dilation = 2, .groups = 2},
    {.n = 2, .h = 5, .w = 5, .c = 3, .o = 2, .kh = 1, .kw = 1, .stride = 3, .padding = 1},
    {.n = 2, .h = 8, .w = 8, .c = 5, .o = 18, .kh = 1, .kw = 1, .stride = 2},
    {.n = 2, .h = 8, .w = 9, .c = 20, .o = 18, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 2, .h = 12, .w = 12, .c = 5, .o = 18, .kh = 4, .kw = 4, .stride = 4},
    {.n = 2, .h = 9, .w = 10, .c = 5, .o = 18, .kh = 4, .kw = 4, .stride = 2, .padding = 1},
    {.n = 1, .h = 60, .w = 50, .c = 5, .o = 24, .kh = 3, .kw = 4, .stride = 2, .padding = 3},
    {.n = 1, .h = 70, .w = 60, .c = 24, .o = 7, .kh = 3, .kw = 3, .padding = 1},
    {.n = 20, .h = 4, .w = 4, .c = 5, .o = 33, .kh = 4, .kw = 4, .padding = 2}};

}  // namespace

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

TEST_CASE_TEMPLATE("a correlation with packed weights is the convolution", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      const auto c = cpu::forward_correlation(s);
      Scratch<T> panels(cpu::packed_weights_size<T>(c));
      cpu::pack_forward(s, problem.weight.data(), panels.data());
      for (const bool add : {false, true}) {
        const auto run = [&](const T* bias) {
          Tensor<T> y = problem.before(s.y_size());
          cpu::correlate<T>(c, problem.x.data(), panels.data(), {.bias = bias, .add = add}, y.data());
          return y;
        };
        CHECK(test::close(run(nullptr), problem.y(false, add), test::conv_tolerance<T>));
        CHECK(test::close(run(problem.bias.data()), problem.y(true, add), test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads([&] { return std::vector{run(nullptr)}; }));
      }
    }
  });
}

TEST_CASE_TEMPLATE("the phases of the input gradient together are the input gradient", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      for (const bool add : {false, true}) {
        const Tensor<T> dx = problem.before(s.x_size());
        cpu::correlate_backward<cpu::PlainWords<T>>(s, problem.weight.data(), problem.dy.data(), dx.data(),
                                                    add);
        CHECK(test::close(dx, problem.dx(add), test::conv_tolerance<T>));
      }
    }
  });
}
