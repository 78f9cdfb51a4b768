// SPDX-License-Identifier: MIT
// A data set without files: images of two superimposed textures, one in brightness and one in colour. The
// class says which geometry lies where. Every geometry occurs in brightness and in colour about equally
// often, and mean colour, contrast, phase, scale and rotation are random, so first-order statistics say
// little: what counts is which structure goes along with which colours, a matter of second-order statistics.
#pragma once
#include <array>

#include "gram/data/dataset.hpp"

namespace gram {

struct TextureOptions {
  Index classes = 10;  ///< 2 to 60
  Index count = 4000;  ///< images; image i has label i mod classes
  Index size = 32;     ///< height and width; the scene is the same, finer or coarser
  std::uint64_t seed = 0;
  double noise = 0.06;  ///< standard deviation of the pixel noise, 1 being the range of a pixel
};

namespace detail {

enum class Geometry { stripes, checker, rings, blobs, waves, grain };
inline constexpr const char* geometry_names[] = {"stripes", "checker", "rings", "blobs", "waves", "grain"};
inline constexpr int geometries = 6, texture_pairs = geometries * (geometries - 1);

/// What defines a class: the geometry in brightness, the one in colour, and the frequency band.
struct TextureClass {
  Geometry brightness, colour;
  bool fine;
};

/// The first classes come as mirrored pairs over neighbouring geometries, (a, b) and (b, a): neither the
/// presence of a geometry nor of a colour tells two of them apart.
inline TextureClass texture_class(Index label) {
  const auto pair = static_cast<int>(label % texture_pairs), unordered = pair / 2;
  const int a = unordered % geometries, b = (a + 1 + unordered / geometries) % geometries;
  const auto first = static_cast<Geometry>(a), second = static_cast<Geometry>(b);
  const bool fine = label >= texture_pairs;
  return pair % 2 == 0 ? TextureClass{first, second, fine} : TextureClass{second, first, fine};
}

/// One realisation of a random field with values in (-1, 1), most of them near the ends, on the unit square.
class TextureField {
 public:
  TextureField(Geometry geometry, bool fine, Rng rng) : geometry_(geometry) {
    constexpr double tau = 2 * std::numbers::pi;
    const double cycles = (fine ? 7.5 : 4.5) * std::exp(rng.uniform(-0.2, 0.2));
    const double upright = geometry == Geometry::grain ? std::numbers::pi / 2 : 0;
    const double angle = upright + rng.uniform(-0.4, 0.4);
    for (Wave& wave : waves_) {
      double direction = rng.uniform(0, tau);
      if (geometry != Geometry::blobs) direction = angle + 0.15 * rng.normal();
      const double frequency =
          tau * cycles * (geometry == Geometry::grain ? rng.uniform(0.5, 1.5) : rng.uniform(0.8, 1.2));
      wave = {frequency * std::cos(direction), frequency * std::sin(direction), rng.uniform(0, tau)};
    }
    frequency_ = tau * cycles;
    cos_ = std::cos(angle), sin_ = std::sin(angle);
    phase_ = rng.uniform(0, tau), other_phase_ = rng.uniform(0, tau);
    centre_ = {rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)};
  }

  double operator()(double y, double x) const {
    const double along = y * cos_ + x * sin_, across = x * cos_ - y * sin_;
    switch (geometry_) {
      case Geometry::stripes:
        return saturate(std::sin(frequency_ * along + phase_));
      case Geometry::checker:
        return saturate(1.5 * std::sin(0.75 * frequency_ * along + phase_) *
                        std::sin(0.75 * frequency_ * across + other_phase_));
      case Geometry::rings:
        return saturate(std::sin(frequency_ * std::hypot(y - centre_[0], x - centre_[1]) + phase_));
      case Geometry::waves:
        return saturate(
            std::sin(frequency_ * along + 1.8 * std::sin(0.5 * frequency_ * across + other_phase_) + phase_));
      case Geometry::blobs:
      case Geometry::grain:
        break;
    }
    double sum = 0;
    for (const Wave& wave : waves_) sum += std::cos(wave.y * y + wave.x * x + wave.phase);
    return saturate(sum / std::sqrt(0.5 * static_cast<double>(waves_.size())));
  }

 private:
  struct Wave {
    double y, x, phase;
  };
  /// Makes the distributions of values alike, whatever the geometry.
  static double saturate(double value) { return std::tanh(3 * value); }

  Geometry geometry_;
  std::array<Wave, 12> waves_{};
  double frequency_ = 0, cos_ = 1, sin_ = 0, phase_ = 0, other_phase_ = 0;
  std::array<double, 2> centre_{};
};

/// Image (size, size, 3) number `index`; a function of the options' seed, classes, size, noise and of the
/// index alone.
inline void draw_texture(const TextureOptions& options, Index index, std::uint8_t* image) {
  const TextureClass kind = texture_class(index % options.classes);
  Rng rng = Rng(options.seed).fork(static_cast<std::uint64_t>(index));
  const TextureField brightness(kind.brightness, kind.fine, rng.split()),
      colour(kind.colour, kind.fine, rng.split());
  const double bright = rng.uniform(0.10, 0.24), vivid = rng.uniform(0.10, 0.24);
  std::array<double, 3> mean, grey, opponent;  // opponent: red against green, somewhat turned towards blue
  for (double& m : mean) m = rng.uniform(0.35, 0.65);
  for (double& g : grey) g = bright * rng.uniform(0.75, 1.25);
  const double hue = rng.uniform(-0.6, 0.6), sign = rng.uniform() < 0.5 ? -1 : 1;
  opponent = {sign * vivid * std::cos(hue), -sign * vivid * std::cos(hue),
              sign * vivid * 1.4 * std::sin(hue)};
  const RandomKey noise = rng.key();
  std::uint64_t sample = 0;
  for (Index y = 0; y < options.size; ++y)
    for (Index x = 0; x < options.size; ++x) {
      const double v = (static_cast<double>(y) + 0.5) / static_cast<double>(options.size);
      const double u = (static_cast<double>(x) + 0.5) / static_cast<double>(options.size);
      const double b = brightness(v, u), c = colour(v, u);
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const double value = mean[channel] + grey[channel] * b + opponent[channel] * c +
                             options.noise * noise.normal(sample++);
        *image++ = static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 1.0) * 255));
      }
    }
}

}  // namespace detail

/// Generates the data set. Image i depends on the seed and on i, not on the number of images or threads.
/// Throws ArgumentError for options out of range.
inline Dataset make_textures(const TextureOptions& options) {
  constexpr Index most = 2 * detail::texture_pairs;
  require<ArgumentError>(options.classes >= 2 && options.classes <= most, "make_textures: ", options.classes,
                         " classes; 2 to ", most, " are possible");
  require<ArgumentError>(options.count >= 1, "make_textures: ", options.count,
                         " images; at least one is needed");
  require<ArgumentError>(options.size >= 8 && options.size <= 4096, "make_textures: images of ", options.size,
                         " pixels; 8 to 4096 are possible");
  require<ArgumentError>(options.noise >= 0 && options.noise <= 1, "make_textures: noise of ", options.noise,
                         "; 0 to 1 is possible");
  Dataset data{"textures",
               Tensor<std::uint8_t>({options.count, options.size, options.size, 3}),
               Tensor<std::int64_t>({options.count}),
               options.classes,
               {}};
  const Index bytes = options.size * options.size * 3;
  parallel_for(options.count, 8, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      detail::draw_texture(options, i, data.images.data() + i * bytes);
      data.labels.data()[i] = i % options.classes;
    }
  });
  for (Index label = 0; label < options.classes; ++label) {
    const auto [brightness, colour, fine] = detail::texture_class(label);
    data.class_names.push_back(text(fine ? "fine " : "", detail::geometry_names[static_cast<int>(brightness)],
                                    " under ", detail::geometry_names[static_cast<int>(colour)]));
  }
  return data;
}

}  // namespace gram
