// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/group_mix_former.hpp"

namespace gram::models {

/// The published configurations of GroupMixFormer: "groupmixformer_miny", "groupmixformer_tiny",
/// "groupmixformer_small", "groupmixformer_base", "groupmixformer_large". They were trained with drop_path
/// 0.1, 0.1, 0.2, 0.5 and 0.1. "groupmixformer_nano" is ours, for 32 x 32 images.
struct GroupMixFormerCatalog {
  struct Row : Entry {
    std::array<Index, 4> widths, depths;
    std::array<double, 4> mlp_ratios;
  };

  static std::vector<Row> rows() {
    return {{{.name = "groupmixformer_miny"}, {40, 80, 160, 160}, {3, 3, 12, 4}, {4, 4, 4, 4}},
            {{.name = "groupmixformer_tiny"}, {80, 160, 200, 240}, {4, 4, 12, 4}, {4, 4, 4, 4}},
            {{.name = "groupmixformer_small"}, {80, 160, 320, 320}, {2, 4, 12, 4}, {4, 4, 4, 4}},
            {{.name = "groupmixformer_base"}, {200, 240, 320, 480}, {8, 8, 12, 8}, {2, 2, 4, 4}},
            {{.name = "groupmixformer_large"}, {240, 320, 360, 480}, {8, 10, 30, 10}, {4, 4, 2, 2}},
            {{.name = "groupmixformer_nano", .classes = 100, .size = 32},
             {40, 80, 80, 120},
             {1, 1, 2, 1},
             {2, 2, 2, 2}}};
  }
  /// Of the backbone's maps.
  static std::vector<Index> channels(const Row& row) { return {row.widths.begin(), row.widths.end()}; }
  template <Scalar T>
  using Trunk = GroupMixFormerTrunk<T>;
  template <Scalar T>
  static typename Trunk<T>::Options trunk(const Row& row, const Info&, const CreateOptions& o) {
    return {.widths = row.widths,
            .depths = row.depths,
            .mlp_ratios = row.mlp_ratios,
            .stem_stride = row.size == 32 ? 2 : 4,
            .drop_path = o.drop_path};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    return {info, GroupMixFormer<T>(
                      {.classes = info.classes, .heads = info.heads, .trunk = trunk<T>(row, info, o)}, rng)};
  }
};

}  // namespace gram::models
