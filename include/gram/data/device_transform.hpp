// SPDX-License-Identifier: MIT
#pragma once
#include "gram/data/batch_mix.hpp"
#include "gram/data/transform.hpp"

namespace gram {

/// Augmentation of whole batches of bytes on the device where they lie: what Transform does, random erasing,
/// and mixing. Random numbers depend on (seed, epoch, number of the image) alone, so that all devices change
/// an image alike, to the bit, and as a Loader of the same seed does.
///     const DeviceTransform<bf16> transform({.transform = {.pad = 4, .flip = true}, .seed = 1}, 3, device);
///     const auto x = transform(bytes, numbers, epoch, draw_batch_mix({.mixup = 0.2}, 32, rng));
template <Scalar T>
class DeviceTransform {
 public:
  struct Options {
    TransformOptions transform = {};
    double erase = 0;  ///< the share of images in which a rectangle becomes zero (arXiv:1708.04896)
    std::uint64_t seed = 0;
  };

  /// Throws ArgumentError for options out of range, or statistics that are not those of `channels` channels.
  DeviceTransform(const Options& options, Index channels, Device device = Device::cpu())
      : rule_{.pad = options.transform.pad, .flip = options.transform.flip, .erase = options.erase},
        seed_(options.seed) {
    detail::require_pad(rule_.pad);
    require<ArgumentError>(rule_.erase >= 0 && rule_.erase <= 1, "DeviceTransform: erase is ", rule_.erase,
                           "; it must lie in [0, 1]");
    values_ = byte_values<T>(options.transform.normalize, channels).to(device);
  }

  /// images (N, H, W, C), of which image n is number numbers[n] of its data set -> (N, H, W, C). Throws
  /// ShapeError or DeviceError for tensors that do not go together.
  Tensor<T> operator()(const Tensor<std::uint8_t>& images, const Tensor<std::int64_t>& numbers, Index epoch,
                       const BatchMix& mix = {}) const {
    require(images.rank() == 4 && numbers.size() == images.dim(0), "DeviceTransform: images have shape ",
            images.shape(), ", numbers ", numbers.shape(), "; (N, H, W, C) and (N) are needed");
    return made(images, numbers, epoch, mix, false);
  }
  /// The same for images numbers[n] of a data set (.., H, W, C) that lies on the device. The numbers must be
  /// those of images.
  Tensor<T> select(const Tensor<std::uint8_t>& images, const Tensor<std::int64_t>& numbers, Index epoch,
                   const BatchMix& mix = {}) const {
    return made(images, numbers, epoch, mix, true);
  }

 private:
  Tensor<T> made(const Tensor<std::uint8_t>& images, const Tensor<std::int64_t>& numbers, Index epoch,
                 const BatchMix& mix, bool select) const {
    require(images.rank() == 4 && numbers.rank() == 1 && images.dim(3) == values_.dim(1),
            "DeviceTransform: images have shape ", images.shape(), ", numbers ", numbers.shape(),
            "; (.., H, W, ", values_.dim(1), ") and (N) are needed");
    require<DeviceError>(images.device() == values_.device() && numbers.device() == values_.device(),
                         "DeviceTransform: images are on ", images.device(), ", numbers on ",
                         numbers.device(), ", but the transform is on ", values_.device());
    Tensor<T> y(images.shape().with(0, numbers.size()), images.device());
    const kernels::AugmentBatch<T> batch{.images = images.data(),
                                         .numbers = numbers.data(),
                                         .select = select,
                                         .n = numbers.size(),
                                         .height = images.dim(1),
                                         .width = images.dim(2),
                                         .channels = images.dim(3),
                                         .rule = rule_,
                                         .seed = Rng(seed_).fork(static_cast<std::uint64_t>(epoch)).seed(),
                                         .values = values_.data(),
                                         .share = mix.share,
                                         .box = mix.box};
    on(y.device(), [&](auto device) { kernels::augment(device, batch, y.data()); });
    return y;
  }

  ImageRule rule_;
  std::uint64_t seed_;
  Tensor<T> values_;
};

}  // namespace gram
