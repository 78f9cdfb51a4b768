// SPDX-License-Identifier: MIT
// What classifier heads read of a backbone. A backbone is a layer with
//     using value_type = T;
//     std::vector<Tensor<T>> operator()(const Tensor<T>& images);   // its maps (N, H, W, C), in the order in
//                                                                   // which they are put side by side
//     std::vector<Index> channels() const;                          // C of each map
#pragma once
#include "gram/ops/side_by_side.hpp"

namespace gram {

/// Maps (N, H_i, W_i, C_i) side by side at the size of maps[reference]: larger ones by adaptive averages,
/// smaller ones by bilinear interpolation (half-pixel centres) -> (N, H, W, sum of C_i). Throws ArgumentError
/// when there is no such map.
template <Scalar T>
Tensor<T> aggregate(const std::vector<Tensor<T>>& maps, std::size_t reference) {
  require<ArgumentError>(reference < maps.size(), "aggregate: reference ", reference, " of ", maps.size(),
                         " maps");
  Index channels = 0;
  for (const Tensor<T>& map : maps) channels += map.dim(-1);
  SideBySide<T> all(maps[reference].shape().with(-1, channels), maps[reference].device());
  for (const Tensor<T>& map : maps) all.add(map);
  return all.result();
}

/// Channels of all maps together.
inline Index total_channels(const std::vector<Index>& channels) {
  Index total = 0;
  for (const Index c : channels) total += c;
  return total;
}

}  // namespace gram
