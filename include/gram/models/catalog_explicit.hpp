// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/explicit_resnet.hpp"

namespace gram::models {

/// ResNets with explicitly modelled attention: "explicit_resnet50", "explicit_resnet101",
/// "explicit_resnet152", and for 32 x 32 images "explicit_resnet29", whose sizes are ours: attention has a
/// quarter of the channels, in all stages.
struct ExplicitCatalog {
  struct Row : Entry {
    std::vector<Index> blocks;
  };

  static std::vector<Row> rows() {
    return {{{.name = "explicit_resnet29", .classes = 100, .size = 32, .stochastic_depth = false}, {3, 3, 3}},
            {{.name = "explicit_resnet50", .stochastic_depth = false}, {3, 4, 6, 3}},
            {{.name = "explicit_resnet101", .stochastic_depth = false}, {3, 4, 23, 3}},
            {{.name = "explicit_resnet152", .stochastic_depth = false}, {3, 8, 36, 3}}};
  }
  /// Of the backbone's maps.
  static std::vector<Index> channels(const Row& row) {
    if (row.size == 32) return {64, 128, 256};
    return {256, 512, 1024, 2048};
  }
  template <Scalar T>
  using Trunk = ExplicitResNetTrunk<T>;
  template <Scalar T>
  static typename Trunk<T>::Options trunk(const Row& row, const Info&, const CreateOptions&) {
    if (row.size != 32) return {.blocks = row.blocks};
    return {.blocks = row.blocks,
            .widths = {16, 32, 64},
            .stem = 16,
            .small_images = true,
            .first = 0,
            .share = 0.25};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    return {info, ExplicitResNet<T>(
                      {.classes = info.classes, .heads = info.heads, .trunk = trunk<T>(row, info, o)}, rng)};
  }
};

}  // namespace gram::models
