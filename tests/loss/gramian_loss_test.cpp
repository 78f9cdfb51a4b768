// SPDX-License-Identifier: MIT
#include "gram/loss/gramian_loss.hpp"

#include "golden.hpp"
#include "gram/loss/kl_divergence.hpp"
#include "gram/ops/softmax.hpp"
#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;
using test::identical;
using Labels = Tensor<std::int64_t>;

namespace {

template <class T>
using Heads = std::vector<Tensor<T>>;

template <class T>
Heads<T> random_heads(std::size_t count, const Shape& shape) {
  Heads<T> heads;
  for (std::size_t k = 0; k < count; ++k) heads.push_back(randn<T>(shape, 10 + k));
  return heads;
}

/// The divergence written with the parts it is made of.
template <class T>
Tensor<T> textbook(const Heads<T>& heads, Reduction reduction) {
  Tensor<T> mean = heads[0].detach();
  for (std::size_t k = 1; k < heads.size(); ++k) mean = mean + heads[k].detach();
  const auto target = log_softmax(mean * (1 / static_cast<double>(heads.size())));
  Tensor<T> total = kl_divergence(log_softmax(heads[0]), target, {.reduction = reduction});
  for (std::size_t k = 1; k < heads.size(); ++k)
    total = total + kl_divergence(log_softmax(heads[k]), target, {.reduction = reduction});
  return total;
}

template <class T>
void agree_with_textbook(double tolerance) {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 5}, Shape{4, 1}, Shape{7, 19}, Shape{20, 300}})
    for (const Reduction reduction : {Reduction::element_mean, Reduction::batch_mean, Reduction::sum}) {
      auto ours = random_heads<T>(3, shape), theirs = random_heads<T>(3, shape);
      for (std::size_t k = 0; k < 3; ++k) ours[k].set_requires_grad(), theirs[k].set_requires_grad();
      const auto a = decorrelation_loss(ours, reduction), b = textbook(theirs, reduction);
      CHECK(close(a, b, tolerance));
      backward(a);
      backward(b);
      for (std::size_t k = 0; k < 3; ++k) CHECK(close(ours[k].grad(), theirs[k].grad(), tolerance));
    }
}

/// Compares loss and gradients with a file of the reference implementation.
template <class T, class Loss>
void agree_with_golden(const test::Golden& g, const std::string& name, Loss&& loss) {
  Heads<T> heads;
  for (const char* const logits : {"in/logits0", "in/logits1", "in/logits2"})
    heads.push_back(g.tensor<T>(logits)), heads.back().set_requires_grad();
  const Tensor<T> y = loss(heads);
  CHECK(static_cast<double>(y.item()) ==
        doctest::Approx(static_cast<double>(g.tensor<T>("out/" + name).data()[0])).epsilon(1e-5));
  backward(y);
  double difference = 0, largest = 0;
  for (std::size_t k = 0; k < heads.size(); ++k) {
    const auto expected = g.tensor<T>("grad/in/logits" + std::to_string(k));
    REQUIRE(heads[k].grad().shape() == expected.shape());
    for (Index i = 0; i < expected.size(); ++i) {
      const auto value = static_cast<double>(expected.data()[i]);
      difference = std::max(difference, std::abs(static_cast<double>(heads[k].grad().data()[i]) - value));
      largest = std::max(largest, std::abs(value));
    }
  }
  CHECK(difference <= 2e-5 * largest);
}

template <class T>
void agree_with_golden(const std::string& file, TaskLoss task) {
  const test::Golden g(file);
  if (!g.available()) return;
  const double lambda = static_cast<double>(g.tensor<T>("in/lambda").data()[0]);
  agree_with_golden<T>(g, "loss", [&](const Heads<T>& heads) {
    return gramian_loss(heads, g.tensor<T>("in/target"), {.lambda = lambda, .task = task});
  });
}

template <class T>
void agree_with_golden_divergence() {
  const test::Golden g("ga_loss_kl_only");
  if (!g.available()) return;
  agree_with_golden<T>(g, "kl", [](const Heads<T>& heads) { return decorrelation_loss(heads); });
}

}  // namespace

TEST_CASE("gramian_loss equals that of the released code, values and gradients") {
  agree_with_golden<float>("ga_loss_bce", TaskLoss::binary_cross_entropy);
  agree_with_golden<double>("ga_loss_bce", TaskLoss::binary_cross_entropy);
  agree_with_golden<float>("ga_loss_softce", TaskLoss::cross_entropy);
  agree_with_golden<double>("ga_loss_softce", TaskLoss::cross_entropy);
  agree_with_golden_divergence<float>();
  agree_with_golden_divergence<double>();
}

TEST_CASE("decorrelation_loss equals its textbook form") {
  test::for_each_isa([] {
    agree_with_textbook<float>(2e-6);
    agree_with_textbook<double>(1e-13);
    agree_with_textbook<bf16>(0.02);
  });
}

TEST_CASE("one head has nothing to be decorrelated from") {
  Heads<float> head = random_heads<float>(1, {3, 4});
  head[0].set_requires_grad();
  CHECK(decorrelation_loss(head).item() == 0);
  CHECK_FALSE(decorrelation_loss(head).requires_grad());
  const Labels labels({3}, {0, 1, 3});
  CHECK(gramian_loss(head, labels).item() == cross_entropy(head[0], labels).item());
}

TEST_CASE("equal heads do not diverge") {
  const auto z = randn<double>({3, 50}, 1);
  CHECK(std::abs(decorrelation_loss(Heads<double>{z, z, z}).item()) < 1e-16);
}

TEST_CASE("decorrelation_loss of huge logits stays finite") {
  Heads<float> heads = {Tensor<float>({1, 2}, {1e4F, -1e4F}), Tensor<float>({1, 2}, {-1e4F, 1.0002e4F})};
  for (auto& z : heads) z.set_requires_grad();
  const auto loss = decorrelation_loss(heads, Reduction::sum);  // p = (0.2689, 0.7311)
  CHECK(loss.item() == doctest::Approx(20001).epsilon(0.01));
  backward(loss);
  CHECK(close(heads[0].grad(), {0.7310586F, -0.7310586F}, 1e-3));
  CHECK(close(heads[1].grad(), {-0.2689414F, 0.2689414F}, 1e-3));
}

TEST_CASE("the gradient does not flow through the consensus, and reaches every head") {
  // With the consensus held fixed, central differences see the same function.
  const auto others = random_heads<double>(3, {4, 7});
  const Labels labels({4}, {6, 0, 3, 3});
  for (const TaskLoss task : {TaskLoss::cross_entropy, TaskLoss::binary_cross_entropy})
    for (const Reduction reduction : {Reduction::element_mean, Reduction::batch_mean}) {
      Heads<double> ours = random_heads<double>(3, {4, 7});
      for (auto& z : ours) z.set_requires_grad();
      const GramianLossOptions options{
          .lambda = -0.8, .task = task, .smoothing = 0.1, .decorrelation = reduction};
      backward(gramian_loss(ours, labels, options));
      Tensor<double> mean = (others[0] + others[1] + others[2]) / 3;
      const auto target = log_softmax(mean);
      const auto t = smooth_one_hot<double>(labels, 7, 0.1);
      for (std::size_t k = 0; k < 3; ++k) {
        const auto objective = [&](const Tensor<double>& z) {
          const auto learned =
              task == TaskLoss::cross_entropy ? cross_entropy(z, t) : binary_cross_entropy_with_logits(z, t);
          return learned - 0.8 * kl_divergence(log_softmax(z), target, {.reduction = reduction});
        };
        CHECK(gradcheck(objective, others[k]) < 1e-6);
        Tensor<double> z = others[k].clone();
        z.set_requires_grad();
        backward(objective(z));
        CHECK(close(ours[k].grad(), z.grad(), 1e-14));
      }
    }
}

TEST_CASE("labels and their one-hot targets give one loss, and the parts add up") {
  const auto heads = random_heads<double>(4, {5, 6});
  const Labels labels({5}, {0, 5, 2, 2, 1});
  for (const TaskLoss task : {TaskLoss::cross_entropy, TaskLoss::binary_cross_entropy})
    for (const double smoothing : {0.0, 0.1}) {
      const GramianLossOptions options{.lambda = -0.5, .task = task, .smoothing = smoothing};
      const double loss = gramian_loss(heads, labels, options).item();
      CHECK(gramian_loss(heads, smooth_one_hot<double>(labels, 6), options).item() ==
            doctest::Approx(loss).epsilon(1e-13));
      const auto parts = gramian_loss_parts(heads, labels, options);
      CHECK(parts.decorrelation.item() > 0);
      CHECK(loss == doctest::Approx(parts.task.item() - 0.5 * parts.decorrelation.item()).epsilon(1e-14));
    }
}

TEST_CASE("gramian_loss does not depend on the number of threads") {
  const Labels labels = generate<std::int64_t>({200}, [](Index i) { return i % 100; });
  CHECK(test::same_for_any_threads([&] {
    auto heads = random_heads<float>(3, {200, 100});
    for (auto& z : heads) z.set_requires_grad();
    const auto loss = gramian_loss(heads, labels);
    backward(loss);
    return std::vector{loss.detach(), heads[0].grad(), heads[1].grad(), heads[2].grad()};
  }));
}

TEST_CASE("gradients of gramian_loss are added to those there are, and skip constant heads") {
  auto heads = random_heads<float>(2, {2, 3});
  heads[0].set_requires_grad();
  backward(decorrelation_loss(heads));
  const auto once = heads[0].grad().clone();
  backward(decorrelation_loss(heads));
  CHECK(close(heads[0].grad(), once * 2, 1e-7));
  CHECK_FALSE(heads[1].grad().defined());
}

TEST_CASE("gramian_loss names what does not fit") {
  const auto z = zeros<float>({2, 3});
  const Labels labels({2}, {0, 3});
  CHECK(error_of([&] { decorrelation_loss(Heads<float>{}); }) ==
        "decorrelation_loss: no heads; at least one is needed");
  CHECK(error_of([&] {
          decorrelation_loss(Heads<float>{z, zeros<float>({2, 4})});
        }) == "decorrelation_loss: head 1 has shape (2, 4), but head 0 has (2, 3)");
  CHECK(error_of([&] {
          gramian_loss(Heads<float>{z, z}, labels);
        }) == "cross_entropy: the label of row 1 is 3, but the classes are 0 to 2");
  CHECK(error_of([&] {
          gramian_loss(Heads<float>{z}, z, {.task = TaskLoss::binary_cross_entropy, .smoothing = 2});
        }) == "gramian_loss: smoothing is 2; it must lie in [0, 1]");
}
