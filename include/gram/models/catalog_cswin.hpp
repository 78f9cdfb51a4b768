// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/ga_cswin.hpp"

namespace gram::models {

/// CSWins as published, "cswin_tiny" and "cswin_small", and GA-CSWins: the configurations rebuilt from the
/// published totals, "ga_cswin_tiny_reconstructed", and those of the released class with its own defaults,
/// "ga_cswin_tiny_class_defaults". "ga_cswin_nano" is ours, for 32 x 32 images.
struct CswinCatalog {
  struct Row : Entry {
    std::array<Index, 4> blocks;
    Index intermediates = 0, stage5_mlp_groups = 0;  ///< of the Gramian networks; groups 0: the plain network
  };

  static std::vector<Row> rows() {
    constexpr std::array<Index, 4> tiny{1, 2, 21, 1}, small{2, 4, 32, 2};
    return {{{.name = "cswin_tiny"}, tiny},
            {{.name = "cswin_small"}, small},
            {{.name = "ga_cswin_tiny_reconstructed", .heads = 5}, tiny, 1, 2},
            {{.name = "ga_cswin_small_reconstructed", .heads = 5}, small, 1, 2},
            {{.name = "ga_cswin_tiny_class_defaults", .heads = 5}, tiny, 4, 1},
            {{.name = "ga_cswin_small_class_defaults", .heads = 5}, small, 4, 1},
            {{.name = "ga_cswin_nano", .classes = 100, .heads = 3, .size = 32}, {1, 1, 2, 1}, 1, 2}};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    typename CswinTrunk<T>::Options trunk{.size = info.size,
                                          .blocks = row.blocks,
                                          .intermediates = row.intermediates,
                                          .drop_path = o.drop_path};
    if (row.stage5_mlp_groups == 0)
      return {info, Cswin<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng)};
    trunk.deep_stem = true;
    if (row.size == 32) return {info, nano<T>(info, trunk, rng)};
    return {info, GaCswin<T>({.classes = info.classes,
                              .heads = info.heads,
                              .trunk = trunk,
                              .stage5_mlp_groups = row.stage5_mlp_groups},
                             rng)};
  }

 private:
  template <Scalar T>
  static GaCswin<T> nano(const Info& info, typename CswinTrunk<T>::Options trunk, Rng& rng) {
    trunk.stem_stride = 2, trunk.stem_width = 32;
    trunk.widths = {32, 64, 96, 128}, trunk.heads = {2, 4, 6, 8}, trunk.splits = {1, 2, 2};
    return GaCswin<T>({.classes = info.classes,
                       .heads = info.heads,
                       .trunk = trunk,
                       .stage5_heads = 8,
                       .split = 2,
                       .gram_dim = 48,
                       .embed = 32},
                      rng);
  }
};

}  // namespace gram::models
