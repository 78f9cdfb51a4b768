// SPDX-License-Identifier: MIT
#include "gram/nn/init.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// Mean, standard deviation and largest magnitude.
struct Spread {
  double mean = 0, deviation = 0, largest = 0;
  explicit Spread(const Tensor<double>& x) {
    double squares = 0;
    for (const double v : x.span()) mean += v, squares += v * v, largest = std::max(largest, std::abs(v));
    mean /= static_cast<double>(x.size());
    deviation = std::sqrt(squares / static_cast<double>(x.size()) - mean * mean);
  }
};

}  // namespace

TEST_CASE("fans count the kernel's area, from memory order (O, Kh, Kw, I)") {
  CHECK(init::fans({8, 3, 5, 4}).in == 60);
  CHECK(init::fans({8, 3, 5, 4}).out == 120);
  CHECK(init::fans({7, 9}).in == 9);
  CHECK(test::error_of([] { init::fans({3}); }) == "init: shape (3) has no input and output axis");
}

TEST_CASE("every scheme has the deviation and the bounds its paper gives") {
  Rng rng(3);
  const Shape shape{64, 3, 3, 32};  // fan_in 288, fan_out 576
  const auto spread = [&](Init scheme) { return Spread(init::weight<double>(shape, scheme, rng)); };
  CHECK(spread(Init::pytorch).deviation / (1 / std::sqrt(288.0 * 3)) == doctest::Approx(1).epsilon(0.01));
  CHECK(spread(Init::pytorch).largest <= 1 / std::sqrt(288.0));
  CHECK(spread(Init::kaiming_fan_in).deviation / std::sqrt(2 / 288.0) == doctest::Approx(1).epsilon(0.01));
  CHECK(spread(Init::kaiming_fan_out).deviation / std::sqrt(2 / 576.0) == doctest::Approx(1).epsilon(0.01));
  CHECK(spread(Init::xavier).deviation / std::sqrt(2 / 864.0) == doctest::Approx(1).epsilon(0.01));
  CHECK(spread(Init::xavier).largest <= std::sqrt(6 / 864.0));
  CHECK(spread(Init::truncated_normal).deviation / 0.02 == doctest::Approx(1).epsilon(0.01));
  CHECK(Spread(init::kaiming_uniform<double>(shape, 288, rng)).deviation / std::sqrt(2 / 288.0) ==
        doctest::Approx(1).epsilon(0.01));
  CHECK(Spread(init::xavier_normal<double>(shape, rng)).deviation / std::sqrt(2 / 864.0) ==
        doctest::Approx(1).epsilon(0.01));
}

TEST_CASE(
    "a truncated normal stays inside its cut, and cut at two deviations it has 0.880 of the deviation") {
  // python3 -c "from math import *; p=exp(-2)/sqrt(2*pi); print(sqrt(1-4*p/erf(sqrt(2))))"
  Rng rng(4);
  const Spread spread(init::truncated_normal<double>({200, 100}, 0.5, rng, 1.0));
  CHECK(spread.largest <= 1.0);
  CHECK(spread.largest > 0.99);
  CHECK(std::abs(spread.mean) < 0.01);
  CHECK(spread.deviation / (0.5 * 0.8796256610342398) == doctest::Approx(1).epsilon(0.01));
  CHECK(test::error_of([&] { init::truncated_normal<double>({2}, 1, rng, 0); }) ==
        "truncated_normal: deviation is 1 and cut 0; neither may be negative, cut not zero");
}

TEST_CASE("PyTorch's bias follows the fan of the weight, the others start at zero") {
  Rng rng(5);
  const auto bias = init::bias<double>(true, {1000, 25}, Init::pytorch, rng);
  CHECK(Spread(bias).largest <= 0.2);
  CHECK(Spread(bias).largest > 0.19);
  CHECK(Spread(init::bias<double>(true, {10, 25}, Init::xavier, rng)).largest == 0);
  CHECK_FALSE(init::bias<double>(false, {10, 25}, Init::pytorch, rng).defined());
}

TEST_CASE("the same seed gives the same weights for any number of threads") {
  CHECK(test::same_for_any_threads([] {
    Rng rng(9);
    return std::vector{init::truncated_normal<float>({100, 100}, 1, rng, 1.5)};
  }));
}
