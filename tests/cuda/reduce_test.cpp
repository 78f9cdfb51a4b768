// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

TEST_CASE_TEMPLATE("sums and means are those of the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{2, 40, 16}, Shape{2, 300, 3},
                             Shape{9, 1, 33}, Shape{0, 3, 4}, Shape{3, 0, 4}, Shape{2, 3, 2000}}) {
    INFO(to_text(shape));
    const auto check = [&](const auto& f) {
      CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) <= 2 * test::device_tolerance<T>);
    };
    check([](const auto& x) { return sum(x[0]); });
    check([](const auto& x) { return sum(x[0], {0}) + sum(x[0], {0}); });
    check([](const auto& x) { return sum(x[0], {1}) + sum(x[0], {1}); });
    check([](const auto& x) { return sum(x[0], {2}, {.keep = true}); });
    check([](const auto& x) { return sum(x[0], {0, 1}); });
    check([](const auto& x) { return sum(x[0], {0, 2}); });
    if (shape.size() > 0) check([](const auto& x) { return mean(x[0], {1, 2}); });
  }
}

/// Values in [0, 1].
Tensor<float> fractions(const Shape& shape) {
  return generate<float>(shape, [](Index i) { return static_cast<double>(i * 7919 % 1009) / 1008; });
}
TEST_CASE("long sums keep their digits and their bits") {
  const auto x = fractions({100000});
  const auto there = x.to(Device::cuda());
  CHECK(test::close(sum(there).to(Device::cpu()), sum(x), 1e-6));
  CHECK(test::identical(sum(there).to(Device::cpu()), sum(there).to(Device::cpu())));
  const auto tall = fractions({25000, 4});
  CHECK(test::close(sum(tall.to(Device::cuda()), {0}).to(Device::cpu()), sum(tall, {0}), 1e-6));
}

TEST_CASE_TEMPLATE("rows are summed as on the CPU", T, float, double, bf16) {
  for (const auto& [rows, columns] :
       {std::pair<Index, Index>{1, 1}, {0, 3}, {77, 5}, {2000, 16}, {300, 1000}, {3, 0}})
    for (const bool add : {false, true}) {
      const auto x = test::random_inputs<T>({{rows, columns}})[0],
                 start = test::random_inputs<T>({{columns}})[0];
      const auto expected = start.clone(), found = start.to(Device::cuda());
      kernels::sum_rows(Cpu{}, rows, columns, x.data(), expected.data(), add);
      kernels::sum_rows(Cuda{}, rows, columns, x.to(Device::cuda()).data(), found.data(), add);
      const std::string which = text(rows, " x ", columns);
      INFO(which);
      CHECK(test::close(found.to(Device::cpu()), expected, test::device_tolerance<T>));
    }
}

TEST_CASE_TEMPLATE("maxima and their gradients are those of the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 7}, Shape{2, 40, 300}, Shape{2, 600, 3},
                             Shape{9, 1, 33}, Shape{2, 2, 3000}, Shape{1, 1, 20000}, Shape{0, 3, 4}}) {
    INFO(to_text(shape));
    auto inputs = test::random_inputs<T>({shape});
    for (T& value : inputs[0].span()) value = T(std::round(float(value)));  // many equals
    const auto check = [&](const auto& f) {
      CHECK(test::device_distance<T>(f, inputs) <= test::device_tolerance<T>);
    };
    check([](const auto& x) { return max(x[0], {1}) + max(x[0], {1}); });
    check([](const auto& x) { return max(x[0], {2}) + max(x[0], {2}); });
    if (shape.size() == 0) continue;
    check([](const auto& x) { return max(x[0], {0, 1}) * 0.5; });
    check([](const auto& x) { return max(x[0]); });
    CHECK(test::identical(argmax(inputs[0].to(Device::cuda())).to(Device::cpu()), argmax(inputs[0])));
  }
}

TEST_CASE("the first NaN is the largest value") {
  for (const Index n : {3, 70, 3000, 20000}) {
    auto x = ones<float>({2, n});
    x.data()[n - 2] = std::nanf("");
    x.data()[n - 1] = std::nanf("");
    x.data()[n + 1] = 2;
    x.data()[n + 2] = 2;
    const auto at = argmax(x.to(Device::cuda())).to(Device::cpu());
    CHECK(at.data()[0] == n - 2);
    CHECK(at.data()[1] == 1);
    CHECK(std::isnan(max(x.to(Device::cuda()), {1}).to(Device::cpu()).data()[0]));
    const auto columns = max(transpose(x, 0, 1).to(Device::cuda()), {0}).to(Device::cpu());
    CHECK(std::isnan(columns.data()[0]));
    CHECK(columns.data()[1] == 2);
  }
  const auto low = full<float>({40}, -HUGE_VALF);
  CHECK(argmax(low.to(Device::cuda())).to(Device::cpu()).item() == 0);
}

}  // namespace
