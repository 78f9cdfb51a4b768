// SPDX-License-Identifier: MIT
#include "gram/cpu/winograd_plan.hpp"

#include "support.hpp"

using namespace gram;

namespace {

Conv2dShape square(Index n, Index size, Index c, Index o) {
  return {.n = n, .h = size, .w = size, .c = c, .o = o, .kh = 3, .kw = 3, .padding = 1};
}
Index chosen(const Conv2dShape& s, cpu::WinogradWeights weights = cpu::WinogradWeights::made) {
  return cpu::winograd_plan(s, weights).tile;
}

}  // namespace

TEST_CASE("only 3x3 kernels whose taps are neighbours, with stride 1 and little padding, are transformed") {
  const auto with = [](auto change) {
    Conv2dShape s = square(8, 56, 64, 64);
    change(s);
    CHECK((chosen(s) > 0) == cpu::winograd_possible(s));
    return cpu::winograd_possible(s);
  };
  CHECK(with([](auto&) {}));
  CHECK(with([](auto& s) { s.padding = Pair(0, 2); }));
  CHECK(!with([](auto& s) { s.padding = Pair(1, 3); }));
  CHECK(!with([](auto& s) { s.padding = Pair(3, 1); }));
  CHECK(!with([](auto& s) { s.kh = 1; }));
  CHECK(!with([](auto& s) { s.kw = 5; }));
  CHECK(!with([](auto& s) { s.stride = Pair(2, 1); }));
  CHECK(!with([](auto& s) { s.stride = Pair(1, 2); }));
  CHECK(!with([](auto& s) { s.dilation = Pair(2, 1); }));
  CHECK(!with([](auto& s) { s.dilation = Pair(1, 2); }));
  CHECK(!with([](auto& s) { s.groups = 2; }));
}

TEST_CASE("the form is chosen by what was measured to be fastest") {
  CHECK(chosen(square(8, 56, 64, 64)) == 4);
  CHECK(chosen(square(8, 112, 32, 64)) == 4);
  CHECK(chosen(square(8, 14, 128, 128)) == 4);
  CHECK(chosen(square(8, 14, 256, 256)) == 2);
  CHECK(chosen(square(8, 14, 256, 256), cpu::WinogradWeights::kept) == 4);
  CHECK(chosen(square(8, 14, 512, 512)) == 2);
  CHECK(chosen(square(16, 7, 512, 512)) == 4);
  CHECK(chosen(square(128, 32, 16, 16)) == 4);
  CHECK(chosen(square(1, 14, 256, 256)) == 2);
  CHECK(chosen(square(1, 7, 512, 512)) == 0);
  CHECK(chosen(square(8, 7, 256, 256)) == 2);
  CHECK(chosen(square(8, 7, 512, 512)) == 2);
  CHECK(chosen(square(8, 7, 512, 512), cpu::WinogradWeights::kept) == 4);
  CHECK(chosen(square(8, 56, 8, 64)) == 0);
  CHECK(cpu::winograd_weight_plan(square(128, 32, 16, 16)).tile == 0);
  CHECK(cpu::winograd_weight_plan(square(128, 16, 32, 32)).tile == 4);
  CHECK(cpu::winograd_weight_plan(square(8, 14, 256, 256)).tile == 4);
  CHECK(chosen(square(0, 56, 64, 64)) == 0);
  CHECK(chosen(square(1, 8, 16, 16)) == 0);
}

TEST_CASE("the shape of the input gradient mirrors the padding") {
  Conv2dShape s = square(2, 9, 16, 24);
  s.w = 12, s.padding = Pair(0, 2);
  const Conv2dShape back = cpu::winograd_gradient_shape(s);
  CHECK(back.c == 24);
  CHECK(back.o == 16);
  CHECK(Pair(back.h, back.w) == Pair(7, 14));
  CHECK(back.padding == Pair(2, 0));
  CHECK(Pair(back.out_h(), back.out_w()) == Pair(9, 12));
}

TEST_CASE("the direct form can be asked for") {
  const cpu::WinogradPlan plan{square(8, 56, 64, 64), 4};
  CHECK(convolution_method() == ConvolutionMethod::automatic);
  CHECK(cpu::allowed(plan).tile == 4);
  set_convolution_method(ConvolutionMethod::direct);
  CHECK(convolution_method() == ConvolutionMethod::direct);
  CHECK(!cpu::allowed(plan));
  set_convolution_method(ConvolutionMethod::automatic);
}
