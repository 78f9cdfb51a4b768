// SPDX-License-Identifier: MIT
#include "gram/loss/kl_divergence.hpp"

#include "gram/ops/softmax.hpp"
#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <class T>
void compare_with_plain_sum(double tolerance) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 19}, Shape{7, 1500}}) {
    const auto p = log_softmax(randn<T>(shape, 1)), q = log_softmax(randn<T>(shape, 2));
    double total = 0;
    for (Index i = 0; i < p.size(); ++i) {
      const double target = static_cast<double>(q.data()[i]);
      total += std::exp(target) * (target - static_cast<double>(p.data()[i]));
    }
    const auto value = [&](Reduction r) {
      return static_cast<double>(kl_divergence(p, q, {.reduction = r}).item());
    };
    const auto near = [&](double x) { return doctest::Approx(x).epsilon(tolerance); };
    CHECK(value(Reduction::sum) == near(total));
    CHECK(value(Reduction::batch_mean) == near(total / static_cast<double>(shape[0])));
    CHECK(value(Reduction::element_mean) == near(total / static_cast<double>(shape.size())));
  }
}

}  // namespace

TEST_CASE("kl_divergence agrees with a plain loop in all three reductions") {
  test::for_each_isa([] {
    compare_with_plain_sum<float>(1e-5);
    compare_with_plain_sum<double>(1e-12);
    compare_with_plain_sum<bf16>(0.01);
  });
}

TEST_CASE("kl_divergence agrees with reference values") {
  // python3 -c "import math; print(.5*math.log(.5/.9)+.5*math.log(.5/.1))"
  const Tensor<double> p({1, 2}, {std::log(0.9), std::log(0.1)}), q({1, 2}, {std::log(0.5), std::log(0.5)});
  CHECK(close(kl_divergence(p, q, {.reduction = Reduction::batch_mean}), {0.5108256237659907}, 1e-15));
  CHECK(kl_divergence(p, p).item() == 0);
}

TEST_CASE("an impossible class adds nothing") {
  Tensor<float> p({1, 2}, {0.F, -HUGE_VALF}), q({1, 2}, {0.F, -HUGE_VALF});
  q.set_requires_grad();
  const auto loss = kl_divergence(p, q, {.reduction = Reduction::sum});
  CHECK(loss.item() == 0);
  backward(loss);
  CHECK(close(q.grad(), {1.F, 0.F}, 0));
}

TEST_CASE("gradients of kl_divergence agree with central differences") {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 11}, Shape{2, 3, 2}}) {
    const auto p = randn<double>(shape, 1), q = randn<double>(shape, 2);
    CHECK(gradcheck([](const auto& a, const auto& b) { return kl_divergence(a, b); }, p, q) < 1e-6);
    CHECK(gradcheck(
              [](const auto& a, const auto& b) {
                return std::vector{kl_divergence(a, b, {.reduction = Reduction::batch_mean}),
                                   kl_divergence(b, a, {.reduction = Reduction::sum})};
              },
              p, q) < 1e-6);
    CHECK(gradcheck([&](const auto& b) { return kl_divergence(p, b); }, q) < 1e-6);
  }
}

TEST_CASE("kl_divergence does not depend on the number of threads") {
  const auto p = randn<float>({100, 300}, 1), q = randn<float>({100, 300}, 2);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{kl_divergence(p, q),
                       test::gradient_of([&](const auto& x) { return kl_divergence(p, x); }, q)};
  }));
}

TEST_CASE("kl_divergence names shapes that differ") {
  CHECK(error_of([] {
          kl_divergence(zeros<float>({2, 3}), zeros<float>({3, 2}));
        }) == "kl_divergence: target has shape (3, 2), but input has (2, 3)");
  CHECK(error_of([] {
          kl_divergence(zeros<float>({2, 0}), zeros<float>({2, 0}));
        }) == "kl_divergence: input has shape (2, 0), but at least one element is needed");
}
