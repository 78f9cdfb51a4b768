// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "gram/core/shape.hpp"

namespace gram {

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random bits
/// from a counter and a key, without state. Always in line, so that loops over it are as fast as the code
/// they are compiled with.
[[gnu::always_inline]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                                     std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32U) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32U) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

/// Names one stream of random numbers: element i of the stream is a function of (seed, stream, i) alone, so a
/// tensor can be filled by any number of threads.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  /// In a captured CUDA graph: device memory that the kernel takes the stream from.
  const std::uint64_t* live_stream = nullptr;

  /// What a kernel of a GPU draws from: the same key with its stream read.
  constexpr RandomKey now() const { return live_stream ? RandomKey{seed, *live_stream} : *this; }

  /// 128 random bits for position i.
  constexpr std::array<std::uint32_t, 4> bits(std::uint64_t i) const {
    return philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32U),
                   static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32U)},
                  {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)});
  }
  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform(std::uint64_t i) const {
    const auto r = bits(i);
    return static_cast<double>(((std::uint64_t{r[1]} << 32U) | r[0]) >> 11U) * 0x1p-53;
  }
  /// Standard normal (Box and Muller).
  double normal(std::uint64_t i) const {
    const auto r = bits(i);
    const double u = (static_cast<double>(((std::uint64_t{r[1]} << 32U) | r[0]) >> 11U) + 0.5) * 0x1p-53;
    const double v = static_cast<double>(((std::uint64_t{r[3]} << 32U) | r[2]) >> 11U) * 0x1p-53;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }
};

/// A source of random streams and of single numbers. Copies continue independently from the same point;
/// fork() gives sources that do not overlap. The state is two integers, so it can be saved and restored.
class Rng {
 public:
  constexpr explicit Rng(std::uint64_t seed = 0) : seed_(seed) {}

  /// The key of the next random operation.
  constexpr RandomKey key() { return {seed_, next_++}; }
  /// Uniform in [0, 1).
  constexpr double uniform() { return key().uniform(0); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal.
  double normal() { return key().normal(0); }
  /// Uniform in {0, .., n - 1}, n >= 1.
  Index below(Index n) {
    require<ArgumentError>(n >= 1, "Rng::below: no number below ", n);
    return static_cast<Index>(uniform() * static_cast<double>(n));
  }
  /// A source whose numbers depend on this one's seed and `id` only: Rng(seed).fork(epoch).fork(index).
  constexpr Rng fork(std::uint64_t id) const {
    const auto r = RandomKey{seed_, ~std::uint64_t{0}}.bits(id);
    return Rng((std::uint64_t{r[1]} << 32U) | r[0]);
  }
  /// fork() with the next unused number; a layer that draws its own numbers takes one of these.
  Rng split() { return fork(next_++); }

  std::uint64_t seed() const { return seed_; }
  std::uint64_t position() const { return next_; }
  void restore(std::uint64_t seed, std::uint64_t position) { seed_ = seed, next_ = position; }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

}  // namespace gram
