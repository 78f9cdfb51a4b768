// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d.hpp"

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// One for each way through the family: direct, groups that share a vector, wide groups, depthwise,
/// pointwise.
const Conv2dShape cases[] = {
    {.n = 2, .h = 6, .w = 5, .c = 3, .o = 5, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 2, .h = 5, .w = 5, .c = 12, .o = 12, .kh = 3, .kw = 3, .padding = 1, .groups = 6},
    {.n = 1, .h = 4, .w = 5, .c = 40, .o = 40, .kh = 2, .kw = 2, .groups = 2},
    {.n = 2, .h = 5, .w = 6, .c = 7, .o = 7, .kh = 3, .kw = 3, .stride = 2, .padding = 1, .groups = 7},
    {.n = 1, .h = 5, .w = 5, .c = 3, .o = 2, .kh = 1, .kw = 1, .stride = 3},
    {.n = 2, .h = 3, .w = 5, .c = 7, .o = 9, .kh = 1, .kw = 1},
    {.n = 2, .h = 3, .w = 5, .c = 40, .o = 60, .kh = 1, .kw = 1, .groups = 2},
    {.n = 2, .h = 3, .w = 5, .c = 12, .o = 6, .kh = 1, .kw = 1, .groups = 3}};

}  // namespace

TEST_CASE_TEMPLATE("every kind of convolution and its gradients, written and added", T, float, double, bf16) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> p(s);
      const double tolerance = test::conv_tolerance<T>;
      for (const bool bias : {false, true})
        for (const bool residual : {false, true})
          for (const bool relu : {false, true}) {
            const Tensor<T> y = p.before(s.y_size());
            kernels::conv2d(Cpu{}, s, p.x.data(), p.weight.data(), p.epilogue(bias, residual, relu),
                            y.data());
            CHECK(test::close(y, p.finished_y(bias, residual, relu), tolerance));
          }
      for (const bool add : {false, true}) {
        const Tensor<T> dx = p.before(s.x_size()), dw = p.before(s.weight_size()), db = p.before(s.o);
        kernels::conv2d_grad_input(Cpu{}, s, p.weight.data(), p.dy.data(), dx.data(), add);
        kernels::conv2d_grad_weight(Cpu{}, s, p.x.data(), p.dy.data(), dw.data(), add);
        kernels::conv2d_grad_bias(Cpu{}, s, p.dy.data(), db.data(), add);
        CHECK(test::close(dx, p.dx(add), tolerance));
        CHECK(test::close(dw, p.dw(add), tolerance));
        const Tensor<T> old = p.before(s.o);
        CHECK(test::close(db,
                          generate<T>({s.o},
                                      [&](Index o) {
                                        double sum = add ? static_cast<double>(old.data()[o]) : 0;
                                        for (Index i = o; i < s.y_size(); i += s.o)
                                          sum += static_cast<double>(p.dy.data()[i]);
                                        return sum;
                                      }),
                          tolerance));
      }
    }
  });
}

TEST_CASE("3x3 convolutions of floats take Winograd's form where it pays, and the direct one when asked to") {
  const Conv2dShape s{.n = 2, .h = 31, .w = 34, .c = 32, .o = 48, .kh = 3, .kw = 3, .padding = 1};
  const Conv2dShape back = cpu::winograd_gradient_shape(s);
  REQUIRE(cpu::winograd_plan(s));
  const test::ConvProblem<float> p(s);
  const auto run = [&] {
    std::vector results{p.before(s.y_size()), p.before(s.x_size()), p.before(s.weight_size())};
    kernels::conv2d<float>(Cpu{}, s, p.x.data(), p.weight.data(), {.bias = p.bias.data()}, results[0].data());
    kernels::conv2d_grad_input(Cpu{}, s, p.weight.data(), p.dy.data(), results[1].data(), true);
    kernels::conv2d_grad_weight(Cpu{}, s, p.x.data(), p.dy.data(), results[2].data(), true);
    return results;
  };
  const auto automatic = run();
  set_convolution_method(ConvolutionMethod::direct);
  const auto direct = run();
  set_convolution_method(ConvolutionMethod::automatic);
  const std::vector expected{p.y(true, false), p.dx(true), p.dw(true)};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(test::close(automatic[i], expected[i], 1e-5));
    CHECK(test::close(direct[i], expected[i], test::conv_tolerance<float>));
    CHECK(!test::identical(automatic[i], direct[i]));
  }

  Tensor<float> y = p.before(s.y_size()), dx = p.before(s.x_size()), dw = p.before(s.weight_size());
  cpu::winograd_convolve(cpu::winograd_plan(s), cpu::WinogradKernel::forward, p.x.data(), p.weight.data(),
                         {.bias = p.bias.data()}, y.data());
  cpu::winograd_convolve(cpu::winograd_plan(back), cpu::WinogradKernel::flipped, p.dy.data(), p.weight.data(),
                         {.residual = dx.data()}, dx.data());
  cpu::winograd_grad_weight(cpu::winograd_weight_plan(s), p.x.data(), p.dy.data(), dw.data(), true);
  CHECK(test::identical(automatic[0], y));
  CHECK(test::identical(automatic[1], dx));
  CHECK(test::identical(automatic[2], dw));
}

TEST_CASE_TEMPLATE("convolutions of many random shapes agree with their definition, forward and backward", T,
                   float, double) {
  test::for_random_convolutions(7, [](const Conv2dShape& s) {
    const test::ConvProblem<T> p(s);
    const auto y = p.finished_y(true, true, true), dx = p.dx(true), dw = p.dw(true);
    test::for_each_isa([&] {
      const auto y_now = zeros<T>({s.y_size()}), dx_now = p.before(s.x_size()),
                 dw_now = p.before(s.weight_size());
      kernels::conv2d(Cpu{}, s, p.x.data(), p.weight.data(), p.epilogue(true, true, true), y_now.data());
      kernels::conv2d_grad_input(Cpu{}, s, p.weight.data(), p.dy.data(), dx_now.data(), true);
      kernels::conv2d_grad_weight(Cpu{}, s, p.x.data(), p.dy.data(), dw_now.data(), true);
      CHECK(test::close(y_now, y, test::conv_tolerance<T>));
      CHECK(test::close(dx_now, dx, test::conv_tolerance<T>));
      CHECK(test::close(dw_now, dw, test::conv_tolerance<T>));
    });
  });
}
