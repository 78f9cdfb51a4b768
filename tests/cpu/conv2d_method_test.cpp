// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_method.hpp"

#include "gram/cpu/winograd_plan.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("the direct method is the form of every convolution once it is asked for") {
  const Conv2dShape s{.n = 8, .h = 28, .w = 28, .c = 64, .o = 64, .kh = 3, .kw = 3, .padding = 1};
  const cpu::WinogradPlan plan = cpu::winograd_plan(s);
  REQUIRE(plan);
  CHECK(convolution_method() == ConvolutionMethod::automatic);
  CHECK(cpu::allowed(plan).tile == plan.tile);
  set_convolution_method(ConvolutionMethod::direct);
  CHECK(convolution_method() == ConvolutionMethod::direct);
  CHECK_FALSE(cpu::allowed(plan));
  set_convolution_method(ConvolutionMethod::automatic);
  CHECK(cpu::allowed(plan));
}
