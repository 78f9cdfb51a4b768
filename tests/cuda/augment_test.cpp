// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;

namespace {

Tensor<std::uint8_t> some_images(const Shape& shape) {
  return generate<std::uint8_t>(shape, [](Index i) {
    return RandomKey{5, 0}.bits(static_cast<std::uint64_t>(i))[0] % 256;
  });
}

}  // namespace

TEST_CASE_TEMPLATE("augmentation gives the bits of the CPU", T, float, double, bf16) {
  const typename DeviceTransform<T>::Options options{
      .transform = {.pad = 3, .flip = true, .normalize = {{0.5, 0.4, 0.3}, {0.2, 0.3, 0.4}}},
      .erase = 0.7,
      .seed = 3};
  const DeviceTransform<T> here(options, 3), there(options, 3, Device::cuda());
  for (const Shape& shape :
       {Shape{1, 1, 1, 3}, Shape{7, 9, 13, 3}, Shape{2, 40, 120, 3}, Shape{0, 4, 4, 3}}) {
    CAPTURE(to_text(shape));
    const auto images = some_images(shape);
    const auto numbers = generate<std::int64_t>({shape[0]}, [&](Index i) { return (5 * i + 3) % shape[0]; });
    for (const BatchMix& mix : {BatchMix{}, BatchMix{.share = 0.7}, BatchMix{0.5, {0, 0, 1, 1}}}) {
      const auto on_device = [&](const auto& x) { return x.to(Device::cuda()); };
      CHECK(test::identical(there(on_device(images), on_device(numbers), 2, mix).to(Device::cpu()),
                            here(images, numbers, 2, mix)));
      CHECK(test::identical(there.select(on_device(images), on_device(numbers), 2, mix).to(Device::cpu()),
                            here.select(images, numbers, 2, mix)));
    }
  }
}

TEST_CASE_TEMPLATE("mixed targets are those of the CPU", T, float, double, bf16) {
  const Tensor<std::int64_t> labels({4}, {2, 0, 1, 2});
  CHECK(test::identical(mixed_targets<T>(labels.to(Device::cuda()), 3, {.share = 0.7}, 0.1).to(Device::cpu()),
                        mixed_targets<T>(labels, 3, {.share = 0.7}, 0.1)));
}
