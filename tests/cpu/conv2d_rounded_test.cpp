// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_rounded.hpp"

#include "gram/cpu/conv2d.hpp"
#include "naive_conv2d.hpp"

using namespace gram;

namespace {

Tensor<float> forward(const test::ConvProblem<float>& p, const Conv2dEpilogue<float>& epilogue) {
  Tensor<float> y({p.s.y_size()});
  Scratch<cpu::Pair16> words(kernels::conv2d_rounded_size(p.s));
  kernels::conv2d_round(Cpu{}, p.s, p.weight.data(), words.data());
  kernels::conv2d_with_rounded(Cpu{}, p.s, p.x.data(), words.data(), epilogue, y.data());
  return y;
}
Tensor<float> backward(const test::ConvProblem<float>& p, bool add) {
  Tensor<float> dx = p.before(p.s.x_size());
  cpu::correlate_backward<cpu::RoundedWords>(p.s, p.weight.data(), p.dy.data(), dx.data(), add);
  return dx;
}

/// Odd and even channels, merged taps and single ones, groups wide and narrow, several images and blocks to a
/// task, phases with taps and without.
const Conv2dShape cases[] = {
    {.n = 3, .h = 6, .w = 7, .c = 4, .o = 18, .kh = 3, .kw = 3},
    {.n = 2, .h = 6, .w = 7, .c = 3, .o = 70, .kh = 3, .kw = 3, .padding = 1},
    {.n = 1,
     .h = 9,
     .w = 8,
     .c = 54,
     .o = 60,
     .kh = 3,
     .kw = 2,
     .stride = {2, 3},
     .padding = {1, 0},
     .groups = 3},
    {.n = 2, .h = 9, .w = 11, .c = 2, .o = 40, .kh = 2, .kw = 3, .padding = 2, .dilation = {2, 3}},
    {.n = 1, .h = 11, .w = 10, .c = 4, .o = 4, .kh = 3, .kw = 3, .dilation = 2, .groups = 2},
    {.n = 2, .h = 5, .w = 5, .c = 3, .o = 2, .kh = 1, .kw = 1, .stride = 3, .padding = 1},
    {.n = 2, .h = 8, .w = 8, .c = 33, .o = 130, .kh = 1, .kw = 1, .stride = 2},
    {.n = 2, .h = 8, .w = 9, .c = 20, .o = 18, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 2, .h = 12, .w = 12, .c = 5, .o = 18, .kh = 4, .kw = 4, .stride = 4},
    {.n = 1, .h = 60, .w = 50, .c = 6, .o = 24, .kh = 3, .kw = 4, .stride = 2, .padding = 3},
    {.n = 1, .h = 70, .w = 60, .c = 24, .o = 7, .kh = 3, .kw = 3, .padding = 1},
    {.n = 20, .h = 4, .w = 4, .c = 5, .o = 33, .kh = 4, .kw = 4, .padding = 2},
    {.n = 3, .h = 5, .w = 7, .c = 41, .o = 70, .kh = 1, .kw = 1}};

void check(const Conv2dShape& s) {
  CAPTURE(test::conv_text(s));
  const test::ConvProblem<float> p(s);
  const auto oracle = test::rounded(p);
  const auto plain = oracle.finished_y(false, false, false), full = oracle.finished_y(true, true, true);
  const auto dx = oracle.dx(false), more = oracle.dx(true);
  test::for_each_isa([&] {
    CHECK(test::close(forward(p, {}), plain, test::conv_tolerance<float>));
    CHECK(test::close(forward(p, p.epilogue(true, true, true)), full, test::conv_tolerance<float>));
    CHECK(test::close(backward(p, false), dx, test::conv_tolerance<float>));
    CHECK(test::close(backward(p, true), more, test::conv_tolerance<float>));
  });
}

/// Sums of absolute values, which rounding errors of the operands are relative to.
test::ConvProblem<float> absolute(test::ConvProblem<float> p) {
  for (Tensor<float>* t : {&p.x, &p.weight, &p.dy}) {
    *t = t->clone();
    for (Index i = 0; i < t->size(); ++i) t->data()[i] = std::abs(t->data()[i]);
  }
  return p;
}

}  // namespace

TEST_CASE("convolutions with rounded operands agree with their definition") {
  for (const Conv2dShape& s : cases) check(s);
}

TEST_CASE("convolutions with rounded operands agree with their definition for many random shapes") {
  test::for_random_convolutions(3, check);
}

TEST_CASE("convolutions with rounded operands have the same bits for any number of threads") {
  for (const Conv2dShape& s : cases) {
    const test::ConvProblem<float> p(s);
    CHECK(test::same_for_any_threads([&] { return std::vector{forward(p, {}), backward(p, true)}; }));
  }
}

TEST_CASE("the precision decides about direct convolutions, whose error is that of two rounded factors") {
  // Strided; narrow groups, computed together; and at 7 x 7 pixels a 3x3 kernel that floats leave to
  // Winograd.
  const Conv2dShape shapes[] = {
      {.n = 2, .h = 14, .w = 14, .c = 48, .o = 40, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
      {.n = 2, .h = 12, .w = 9, .c = 32, .o = 32, .kh = 3, .kw = 3, .padding = 1, .groups = 8},
      {.n = 8, .h = 7, .w = 7, .c = 64, .o = 64, .kh = 3, .kw = 3, .padding = 1}};
  for (const Conv2dShape& s : shapes) {
    CAPTURE(test::conv_text(s));
    const test::ConvProblem<float> p(s);
    const auto run = [&] {
      std::vector results{Tensor<float>({s.y_size()}), Tensor<float>({s.x_size()}),
                          Tensor<float>({s.weight_size()})};
      kernels::conv2d<float>(Cpu{}, s, p.x.data(), p.weight.data(), {}, results[0].data());
      kernels::conv2d_grad_input<float>(Cpu{}, s, p.weight.data(), p.dy.data(), results[1].data(), false);
      kernels::conv2d_grad_weight<float>(Cpu{}, s, p.x.data(), p.dy.data(), results[2].data(), false);
      return results;
    };
    const auto exact = run();
    set_product_precision(Precision::bf16);
    const auto got = run();
    set_product_precision(Precision::float32);
    const auto sums = absolute(p);
    const std::vector largest{sums.finished_y(false, false, false), sums.dx(false), sums.dw(false)};
    for (std::size_t i = 0; i < got.size(); ++i) {
      double worst = 0;
      for (Index j = 0; j < got[i].size(); ++j)
        worst = std::max(worst, static_cast<double>(std::abs(got[i].data()[j] - exact[i].data()[j])) /
                                    static_cast<double>(largest[i].data()[j]));
      const bool float_weight = cpu::winograd_weight_plan(s) || s.group_in() < 32;
      CHECK((worst > 1e-5 || (i == 2 && float_weight)));
      CHECK(worst < 2.0 / 512 + 1e-5);  // 2^-9 of each factor
    }
  }
}

TEST_CASE("rounded windows are windows with each channel rounded, and an odd channel beside a zero") {
  const auto x = randn<float>({5 * 6 * 7}, 1);
  test::for_each_isa([&] {
    for (const Index channels : {7, 4, 3}) {
      const cpu::MapView<float> map{x.data(), 5, 6, 7};
      const Index rows = 7, columns = 9, pixel = cpu::pairs(channels);
      std::vector<float> plain(static_cast<std::size_t>(rows * columns * channels + 16));
      std::vector<cpu::Pair16> words(static_cast<std::size_t>(rows * columns * pixel + 16));
      cpu::copy_window(cpu::conv2d_table<float>(), map, -1, rows, -2, columns, channels, plain.data(),
                       channels);
      cpu::round_window(cpu::pair_tile_table<bf16>(), map, -1, rows, -2, columns, channels, words.data());
      bool right = true;
      for (Index i = 0; i < rows * columns; ++i)
        for (Index j = 0; j < 2 * pixel; ++j) {
          const float expected =
              j < channels ? static_cast<float>(bf16(plain[static_cast<std::size_t>(i * channels + j)])) : 0;
          const cpu::Pair16 word = words[static_cast<std::size_t>(i * pixel + j / 2)];
          right = right && std::bit_cast<float>(j % 2 ? word & 0xffff0000U : word << 16U) == expected;
        }
      CHECK(right);
    }
  });
}
