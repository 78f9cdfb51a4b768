// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/ga_convnext.hpp"

namespace gram::models {

/// ConvNeXts as published, "convnext_tiny", ..., and the GA-ConvNeXts of the released code,
/// "ga_convnext_tiny_688", ..., with the width of their stages 4 and 5 in the name.
struct ConvNextCatalog {
  struct Row : Entry {
    Index stage3_blocks;
    std::array<Index, 4> widths;
    Index intermediates, embed;  ///< of the Gramian networks; embed 0: the plain network
  };

  static std::vector<Row> rows() {
    return {plain("convnext_tiny", 9, 96),
            plain("convnext_small", 27, 96),
            plain("convnext_base", 27, 128),
            gramian("ga_convnext_tiny_688", 9, 96, 688, 2, 168),
            gramian("ga_convnext_tiny_768", 9, 96, 768, 2, 192),
            gramian("ga_convnext_small_688", 27, 96, 688, 4, 168),
            gramian("ga_convnext_small_768", 27, 96, 768, 4, 192),
            gramian("ga_convnext_base_976", 27, 128, 976, 4, 240),
            gramian("ga_convnext_base_1024", 27, 128, 1024, 4, 256)};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    const typename ConvNextTrunk<T>::Options trunk{.blocks = {3, 3, row.stage3_blocks, 3},
                                                   .widths = row.widths,
                                                   .intermediates = row.intermediates,
                                                   .drop_path = o.drop_path};
    if (row.embed == 0)
      return {info, ConvNext<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng)};
    return {info, GaConvNext<T>({.classes = info.classes,
                                 .heads = info.heads,
                                 .trunk = trunk,
                                 .fuse_out = row.widths[3],
                                 .embed = row.embed},
                                rng)};
  }

 private:
  static Row plain(const char* name, Index stage3_blocks, Index width) {
    return {{.name = name}, stage3_blocks, {width, 2 * width, 4 * width, 8 * width}, 0, 0};
  }
  static Row gramian(const char* name, Index stage3_blocks, Index width, Index last_width,
                     Index intermediates, Index embed) {
    return {{.name = name, .heads = 5},
            stage3_blocks,
            {width, 2 * width, 4 * width, last_width},
            intermediates,
            embed};
  }
};

}  // namespace gram::models
