// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

TEST_CASE_TEMPLATE("layer_norm and its gradients are those of the CPU", T, float, double, bf16) {
  using A = accum_t<T>;
  // Every number of packs in registers, widths that fill no pack, more rows than a wave of blocks, wide rows.
  const std::vector<Shape> shapes{{1, 1},    {3, 5},   {2, 7, 64}, {33, 96},  {9, 192},
                                  {5, 384},  {3, 768}, {2, 1024},  {700, 16}, {9, 513},
                                  {2, 2056}, {0, 32},  {2300, 8},  {4, 1536}};
  for (const Shape& shape : shapes) {
    CAPTURE(to_text(shape));
    const auto norm = [&](const std::vector<Tensor<T>>& in) {
      return layer_norm(in[0], cast<A>(in[1]), cast<A>(in[2]), 1e-5);
    };
    const auto inputs = test::random_inputs<T>({shape, {shape[-1]}, {shape[-1]}});
    CHECK(test::device_distance<T>(norm, inputs) <= 2 * test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("layer_norm without weights adds to a gradient as on the CPU", T, float, bf16) {
  for (const Shape& shape : {Shape{5, 40}, Shape{3, 11}}) {
    const auto norm = [](const Tensor<T>& x) { return layer_norm<T>(x, {}, {}, 1e-6); };
    CHECK(test::added_gradient_distance(norm, converted<T>(randn<float>(shape, 1))) <=
          test::device_tolerance<T>);
  }
}

TEST_CASE("layer_norm of values far from zero keeps their digits on the device") {
  const auto x = generate<float>({4, 256}, [](Index i) {
    return 1000 + RandomKey{3, 0}.normal(static_cast<std::uint64_t>(i));
  });
  const auto y = layer_norm<float>(x.to(Device::cuda()), {}, {}, 1e-5).to(Device::cpu());
  const auto expected = layer_norm<double>(converted<double>(x), {}, {}, 1e-5);
  CHECK(test::distance(converted<double>(y), expected) <= 1e-4);
}
