// SPDX-License-Identifier: MIT
#include "gram/loss/binary_cross_entropy.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <class T>
void compare_with_plain_terms(double tolerance) {
  for (const Index n : {1, 7, 16, 33, 9001}) {
    const auto z = generate<T>({n}, [](Index i) {
      return 6 * RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
    });
    const auto t = rand<T>({n}, 0, 1, 2);
    double total = 0;
    for (Index i = 0; i < n; ++i) {
      const double x = static_cast<double>(z.data()[i]), target = static_cast<double>(t.data()[i]);
      total += target * std::log1p(std::exp(-x)) + (1 - target) * std::log1p(std::exp(x));
    }
    CHECK(static_cast<double>(binary_cross_entropy_with_logits(z, t).item()) ==
          doctest::Approx(total / static_cast<double>(n)).epsilon(tolerance));
  }
}

}  // namespace

TEST_CASE("binary_cross_entropy_with_logits agrees with a plain loop") {
  test::for_each_isa([] {
    compare_with_plain_terms<float>(1e-6);
    compare_with_plain_terms<double>(1e-13);
    compare_with_plain_terms<bf16>(0.01);
  });
}

TEST_CASE("binary_cross_entropy_with_logits of huge logits stays finite") {
  Tensor<float> z({4}, {1e4F, -1e4F, 3e38F, -3e38F});
  z.set_requires_grad();
  const auto loss = binary_cross_entropy_with_logits(z, Tensor<float>({4}, {0.F, 1.F, 1.F, 0.F}));
  CHECK(loss.item() == doctest::Approx(5000));
  backward(loss);
  CHECK(close(z.grad(), {0.25F, -0.25F, 0.F, 0.F}, 1e-7));
}

TEST_CASE("gradients of binary_cross_entropy_with_logits agree with central differences") {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 11}, Shape{2, 3, 2}}) {
    const auto z = randn<double>(shape, 1), t = rand<double>(shape, 0, 1, 2);
    CHECK(gradcheck([](const auto& x, const auto& y) { return binary_cross_entropy_with_logits(x, y); }, z,
                    t) < 1e-6);
    CHECK(gradcheck(
              [](const auto& x, const auto& y) {
                return std::vector{
                    binary_cross_entropy_with_logits(x, y, {.reduction = Reduction::sum}),
                    binary_cross_entropy_with_logits(y, x, {.reduction = Reduction::batch_mean})};
              },
              z, t) < 1e-6);
    CHECK(gradcheck([&](const auto& x) { return binary_cross_entropy_with_logits(x, t); }, z) < 1e-6);
  }
}

TEST_CASE("binary_cross_entropy_with_logits does not depend on the number of threads") {
  const auto z = randn<float>({100, 300}, 1), t = rand<float>({100, 300}, 0, 1, 2);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{
        binary_cross_entropy_with_logits(z, t),
        test::gradient_of([&](const auto& x) { return binary_cross_entropy_with_logits(x, t); }, z)};
  }));
}

TEST_CASE("binary_cross_entropy_with_logits names shapes that differ") {
  CHECK(error_of([] {
          binary_cross_entropy_with_logits(zeros<float>({2, 3}), zeros<float>({2}));
        }) == "binary_cross_entropy_with_logits: targets have shape (2), but logits have (2, 3)");
  CHECK(error_of([] { binary_cross_entropy_with_logits(zeros<float>({0}), zeros<float>({0})); }) ==
        "binary_cross_entropy_with_logits: logits have shape (0), but at least one element is needed");
}
