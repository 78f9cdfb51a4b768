// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// Products with few rows and many, strided pixels, kernels, merged groups and wide ones.
const Conv2dShape cases[] = {
    {.n = 1, .h = 1, .w = 1, .c = 9, .o = 600, .kh = 1, .kw = 1},
    {.n = 2, .h = 30, .w = 3, .c = 40, .o = 130, .kh = 1, .kw = 1},
    {.n = 2, .h = 6, .w = 7, .c = 10, .o = 20, .kh = 1, .kw = 1, .stride = 2},
    {.n = 2, .h = 6, .w = 7, .c = 3, .o = 5, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 1, .h = 9, .w = 8, .c = 40, .o = 80, .kh = 2, .kw = 3, .groups = 2},
    {.n = 2, .h = 5, .w = 5, .c = 12, .o = 12, .kh = 3, .kw = 3, .padding = 1, .groups = 6},
    {.n = 2, .h = 5, .w = 5, .c = 12, .o = 6, .kh = 1, .kw = 1, .groups = 3}};

}  // namespace

TEST_CASE_TEMPLATE("packed weights give the bits of the plain convolution, for maps of any size", T, float,
                   double, bf16) {
  test::for_each_isa([] {
    for (Conv2dShape s : cases) {
      Scratch<accum_t<T>> packed(kernels::conv2d_packed_size<T>(s));
      const test::ConvProblem<T> first(s);
      kernels::conv2d_pack(Cpu{}, s, first.weight.data(), packed.data());
      for (const Index more : {0, 3}) {
        s.n += more;
        s.h += more;
        CAPTURE(test::conv_text(s));
        test::ConvProblem<T> p(s);
        p.weight = first.weight;
        for (const bool whole : {false, true}) {
          const auto epilogue = p.epilogue(whole, whole, whole);
          const Tensor<T> plain = p.before(s.y_size());
          kernels::conv2d(Cpu{}, s, p.x.data(), p.weight.data(), epilogue, plain.data());
          const auto run = [&] {
            const Tensor<T> y = p.before(s.y_size());
            kernels::conv2d_with_packed(Cpu{}, s, p.x.data(), packed.data(), epilogue, y.data());
            return std::vector{y};
          };
          CHECK(test::identical(run()[0], plain));
          CHECK(test::close(run()[0], p.finished_y(whole, whole, whole), test::conv_tolerance<T>));
          CHECK(test::same_for_any_threads(run));
        }
      }
    }
  });
}

TEST_CASE("depthwise convolutions have no packed form") {
  CHECK(kernels::conv2d_packed_size<float>(
            {.n = 1, .h = 4, .w = 4, .c = 6, .o = 6, .kh = 3, .kw = 3, .groups = 6}) == 0);
}
