// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/ga_convnext.hpp"

namespace gram::models {

/// ConvNeXts as published, "convnext_tiny", ..., and the GA-ConvNeXts of the released code,
/// "ga_convnext_tiny_688", ..., with the width of their stages 4 and 5 in the name. "ga_convnext_nano" is
/// ours, for 32 x 32 images.
struct ConvNextCatalog {
  struct Row : Entry {
    std::array<Index, 4> blocks, widths;
    Index intermediates = 0, embed = 0, gram_dim = 192;  ///< of the Gramian networks; embed 0: plain
    Index patch = 4;
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
            gramian("ga_convnext_base_1024", 27, 128, 1024, 4, 256),
            {{.name = "ga_convnext_nano", .classes = 100, .heads = 3, .size = 32},
             {1, 1, 3, 1},
             {32, 64, 96, 128},
             1,
             32,
             32,
             2}};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    const typename ConvNextTrunk<T>::Options trunk{.blocks = row.blocks,
                                                   .widths = row.widths,
                                                   .patch = row.patch,
                                                   .intermediates = row.intermediates,
                                                   .drop_path = o.drop_path};
    if (row.embed == 0)
      return {info, ConvNext<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng)};
    return {info, GaConvNext<T>({.classes = info.classes,
                                 .heads = info.heads,
                                 .trunk = trunk,
                                 .fuse_out = row.widths[3],
                                 .gram_dim = row.gram_dim,
                                 .embed = row.embed},
                                rng)};
  }

 private:
  static Row plain(const char* name, Index stage3_blocks, Index width) {
    return {{.name = name}, {3, 3, stage3_blocks, 3}, {width, 2 * width, 4 * width, 8 * width}};
  }
  static Row gramian(const char* name, Index stage3_blocks, Index width, Index last_width,
                     Index intermediates, Index embed) {
    return {{.name = name, .heads = 5},
            {3, 3, stage3_blocks, 3},
            {width, 2 * width, 4 * width, last_width},
            intermediates,
            embed};
  }
};

}  // namespace gram::models
