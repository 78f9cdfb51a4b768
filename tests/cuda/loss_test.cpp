// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

template <Scalar T>
inline constexpr double loss_tolerance = 2 * test::device_tolerance<T>;

const Shape logit_shapes[] = {{1, 1}, {3, 5}, {7, 33}, {5, 300}, {2, 1500}};

Tensor<std::int64_t> labels_for(const Shape& logits, Device device) {
  return generate<std::int64_t>({logits[0]}, [&](Index i) { return i * 31 % logits[1]; }).to(device);
}

TEST_CASE_TEMPLATE("cross-entropy is that of the CPU", T, float, double, bf16) {
  for (const Shape& shape : logit_shapes)
    for (const double smoothing : {0.0, 0.1}) {
      INFO(to_text(shape), ", smoothing ", smoothing);
      const auto hard = [&](const auto& x) {
        const auto labels = labels_for(shape, x[0].device());
        return cross_entropy(x[0], labels, {.smoothing = smoothing}) +
               cross_entropy(x[0], labels, {.smoothing = smoothing, .reduction = Reduction::sum});
      };
      CHECK(test::device_distance<T>(hard, test::random_inputs<T>({shape})) <= loss_tolerance<T>);
      const auto soft = [&](const auto& x) {
        return cross_entropy(x[0], x[1], {.smoothing = smoothing}) + cross_entropy(x[0], x[1]);
      };
      CHECK(test::device_distance<T>(soft, test::random_inputs<T>({shape, shape})) <= loss_tolerance<T>);
    }
}

TEST_CASE("masked classes and labels outside are treated as on the CPU") {
  const Tensor<float> logits({2, 3}, {-HUGE_VALF, 1, 2, 0, 3, -HUGE_VALF});
  const Tensor<std::int64_t> labels({2}, {1, 0}), wrong({2}, {1, 3});
  const auto f = [&](Device device) {
    const auto x = logits.to(device).clone().set_requires_grad();
    const auto loss = cross_entropy(x, labels.to(device));
    backward(loss);
    return std::pair(loss.to(Device::cpu()), x.grad().to(Device::cpu()));
  };
  const auto expected = f(Device::cpu()), found = f(Device::cuda());
  CHECK(test::close(found.first, expected.first, 1e-6));
  CHECK(test::close(found.second, expected.second, 1e-6));
  const auto text = test::error_of([&] { (void)cross_entropy(logits, wrong); });
  CHECK(text.find("row 1 is 3") != std::string::npos);
  CHECK(test::error_of([&] { (void)cross_entropy(logits.to(Device::cuda()), wrong.to(Device::cuda())); }) ==
        text);
}

TEST_CASE_TEMPLATE("sums over elements are those of the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{1}, Shape{3, 7}, Shape{20, 1031}}) {
    INFO(to_text(shape));
    const auto logistic = [](const auto& x) {
      return binary_cross_entropy_with_logits(x[0] * 4.0, x[1]) +
             binary_cross_entropy_with_logits(x[0], x[1], {.reduction = Reduction::batch_mean});
    };
    CHECK(test::device_distance<T>(logistic, test::random_inputs<T>({shape, shape})) <= loss_tolerance<T>);
    const auto divergence = [](const auto& x) {
      return kl_divergence(x[0], x[1]) + kl_divergence(x[1], x[0], {.reduction = Reduction::batch_mean});
    };
    CHECK(test::device_distance<T>(divergence, test::random_inputs<T>({shape, shape})) <= loss_tolerance<T>);
  }
}

TEST_CASE("where the target has no mass there is no divergence") {
  const Tensor<float> p({3}, {-1, -HUGE_VALF, -2}), q({3}, {-0.5F, -HUGE_VALF, -1});
  CHECK(test::close(kl_divergence(p.to(Device::cuda()), q.to(Device::cuda())).to(Device::cpu()),
                    kl_divergence(p, q), 1e-6));
}

TEST_CASE_TEMPLATE("decorrelation is that of the CPU", T, float, double, bf16) {
  for (const Shape& shape : logit_shapes)
    for (const std::size_t heads : {std::size_t{2}, std::size_t{5}}) {
      INFO(to_text(shape), ", ", heads, " heads");
      std::vector<Tensor<T>> inputs;
      for (std::size_t k = 0; k < heads; ++k) inputs.push_back(converted<T>(randn<float>(shape, k + 1)));
      const auto f = [](const auto& x) {
        return decorrelation_loss(x) + decorrelation_loss(x, Reduction::batch_mean);
      };
      CHECK(test::device_distance<T>(f, inputs) <= loss_tolerance<T>);
    }
}

TEST_CASE("heads that agree have no divergence, and there may be only so many") {
  const auto z = randn<float>({4, 100}, 1).to(Device::cuda());
  CHECK(std::abs(decorrelation_loss<float>({z, z, z}, Reduction::sum).to(Device::cpu()).item()) <= 1e-4F);
  CHECK(test::error_of([&] { (void)decorrelation_loss(std::vector<Tensor<float>>(129, z)); }) ==
        "decorrelation: 129 heads, but a GPU takes at most 128");
}

TEST_CASE_TEMPLATE("the Gramian loss is that of the CPU", T, float, double, bf16) {
  for (const TaskLoss task : {TaskLoss::cross_entropy, TaskLoss::binary_cross_entropy}) {
    const auto f = [&](const std::vector<Tensor<T>>& x) {
      return gramian_loss(x, labels_for({6, 10}, x[0].device()), {.task = task, .smoothing = 0.1});
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({{6, 10}, {6, 10}, {6, 10}})) <=
          loss_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("the loss of mixed tokens is that of the CPU", T, float, double, bf16) {
  const TokenBox box{.top = 0, .left = 1, .bottom = 2, .right = 3};
  const auto f = [&](const std::vector<Tensor<T>>& x) {
    return token_mixing_loss(x[0], reshape(mix_tokens(x[1], box), {3, 12, 5}), box,
                             labels_for({3, 5}, x[0].device()));
  };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{3, 5}, {3, 4, 3, 5}})) <= loss_tolerance<T>);
}

}  // namespace
