// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

/// Positions below n, many of them twice.
Tensor<std::int64_t> positions(const Shape& shape, Index n) {
  return generate<std::int64_t>(shape, [n](Index i) { return i * 7919 % 1009 % n; });
}

TEST_CASE_TEMPLATE("rows are looked up as on the CPU", T, float, double, bf16) {
  for (const auto& [shape, axis] : {std::pair<Shape, int>{{5, 3}, 0},
                                    {{70, 8}, 0},
                                    {{200, 130}, 0},
                                    {{3, 7}, 1},
                                    {{2, 90, 16}, 1},
                                    {{0, 4, 3}, 1},
                                    {{4, 3, 0}, 1}})
    for (const Index count : {0, 1, 40, 700}) {
      const std::string which = text(to_text(shape), " along ", axis, ", ", count);
      INFO(which);
      const auto index = positions({count}, shape[axis]);
      const auto f = [&, along = axis](const auto& x) {
        const auto y = index_select(x[0], along, index.to(x[0].device()));
        return y + exp(index_select(x[0], along, index.to(x[0].device()))) * 0.1;
      };
      CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) <= 3 * test::device_tolerance<T>);
    }
}

TEST_CASE_TEMPLATE("elements are gathered as on the CPU", T, float, double, bf16) {
  for (const auto& [shape, axis] :
       {std::pair<Shape, int>{{5, 3}, 0}, {{9, 70}, 1}, {{3, 300}, 1}, {{2, 90, 16}, 1}}) {
    const std::string which = text(to_text(shape), " along ", axis);
    INFO(which);
    const auto index = positions(shape.with(axis, 13), shape[axis]);
    const auto f = [&, along = axis](const auto& x) {
      return gather(x[0], along, index.to(x[0].device())) + gather(x[0], along, index.to(x[0].device()));
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({shape})) <= 2 * test::device_tolerance<T>);
  }
}

TEST_CASE("an index outside is found on the device") {
  auto index = positions({4, 600}, 5);
  index.data()[600 * 3 + 17] = 5;
  index.data()[600 * 3 + 570] = -1;
  const auto x = randn<float>({5, 600}, 1);
  const auto text = test::error_of([&] { (void)gather(x, 0, index); });
  CHECK(text == "gather: index(3, 17) is 5, but axis 0 of x (5, 600) has positions 0 to 4");
  CHECK(test::error_of([&] { (void)gather(x.to(Device::cuda()), 0, index.to(Device::cuda())); }) == text);
}

}  // namespace
