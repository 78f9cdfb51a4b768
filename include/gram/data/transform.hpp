// SPDX-License-Identifier: MIT
// From bytes to what a network reads: random crops of padded images, mirror images, normalisation.
#pragma once
#include "gram/kernels/augment.hpp"
#include "gram/tensor/tensor.hpp"

namespace gram {

/// Mean and standard deviation of each channel, pixels being in [0, 1].
struct ChannelStatistics {
  std::vector<double> mean, deviation;
};

/// The statistics of images (.., C). Exact sums: the same for any order. Throws ShapeError without any pixel.
inline ChannelStatistics channel_statistics(const Tensor<std::uint8_t>& images) {
  require(images.rank() >= 1 && images.size() > 0, "channel_statistics: images have shape ", images.shape(),
          "; there is no pixel");
  const Index channels = images.dim(-1), pixels = images.size() / channels;
  std::vector<std::uint64_t> sum(static_cast<std::size_t>(channels)), squares(sum);
  const std::uint8_t* x = images.data();
  for (Index i = 0; i < pixels; ++i)
    for (std::size_t c = 0; c < sum.size(); ++c, ++x) {
      sum[c] += *x;
      squares[c] += std::uint64_t{*x} * *x;
    }
  ChannelStatistics statistics;
  const auto n = static_cast<double>(pixels);
  for (std::size_t c = 0; c < sum.size(); ++c) {
    const double mean = static_cast<double>(sum[c]) / n;
    const double variance = static_cast<double>(squares[c]) / n - mean * mean;
    statistics.mean.push_back(mean / 255);
    statistics.deviation.push_back(std::sqrt(std::max(variance, 0.0)) / 255);
  }
  return statistics;
}

struct TransformOptions {
  Index pad = 0;                     ///< black pixels around the image, then a random crop of its own size
  bool flip = false;                 ///< mirror every other image, left to right
  ChannelStatistics normalize = {};  ///< y = (x / 255 - mean) / deviation; y = x / 255 when empty
};

/// What a channel of byte v becomes, (256, channels). Throws ArgumentError for statistics that are not those
/// of `channels` channels.
template <Scalar T>
Tensor<T> byte_values(const ChannelStatistics& statistics, Index channels) {
  const auto& [mean, deviation] = statistics;
  require<ArgumentError>(
      mean.size() == deviation.size() && (mean.empty() || static_cast<Index>(mean.size()) == channels),
      "Transform: ", mean.size(), " means and ", deviation.size(), " deviations for ", channels, " channels");
  Tensor<T> values({256, channels});
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const double m = mean.empty() ? 0 : mean[c], d = deviation.empty() ? 1 : deviation[c];
    require<ArgumentError>(d > 0, "Transform: deviation ", d, " of channel ", c, "; it must be positive");
    for (Index v = 0; v < 256; ++v)
      values.data()[v * channels + static_cast<Index>(c)] = T((static_cast<double>(v) / 255 - m) / d);
  }
  return values;
}

namespace detail {

inline void require_pad(Index pad) {
  require<ArgumentError>(pad >= 0 && pad <= 4096, "Transform: pad of ", pad,
                         " pixels; 0 to 4096 are possible");
}

}  // namespace detail

/// Turns one image of bytes into T. Throws ArgumentError for options out of range, or statistics that are not
/// those of `channels` channels.
template <Scalar T>
class Transform {
 public:
  Transform(const TransformOptions& options, Index channels)
      : rule_{.pad = options.pad, .flip = options.flip}, channels_(channels) {
    detail::require_pad(options.pad);
    values_ = byte_values<T>(options.normalize, channels);
  }

  /// image (H, W, C) -> out (H, W, C). Draws from rng only what the options need.
  void operator()(const std::uint8_t* image, Index height, Index width, Rng& rng, T* out) const {
    const ImageChange change = draw_image_change(rule_, height, width, rng);
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x) {
        const Index source = change.source(y, x, height, width);
        const std::uint8_t* pixel = source == ImageChange::black ? nullptr : image + source * channels_;
        for (Index c = 0; c < channels_; ++c) *out++ = values_.data()[(pixel ? pixel[c] : 0) * channels_ + c];
      }
  }

 private:
  ImageRule rule_;
  Index channels_;
  Tensor<T> values_;
};

}  // namespace gram
