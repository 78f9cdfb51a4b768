// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/ga_vit.hpp"

namespace gram::models {

/// Vision transformers with their kinds of heads: "ga_vit_s", "cait_vit_s", "gap_vit_s", "vit_s"; vit_tiny,
/// vit_mini and vit_small32, that of examples/train_ga_vit.cpp, are for 32 x 32 images.
struct VitCatalog {
  struct Backbone {
    const char* name;
    Index size, patch, channels, depth, attention_heads;
    Index heads, gram_dim, embedding_groups;
  };
  struct Row : Entry {
    Prefix prefix;
    Backbone backbone;
  };

  static std::vector<Row> rows() {
    std::vector<Row> all;
    for (const Backbone& b :
         {Backbone{"vit_tiny", 32, 4, 96, 4, 3, 1, 32, 8}, Backbone{"vit_mini", 32, 4, 192, 6, 6, 3, 48, 8},
          Backbone{"vit_small32", 32, 4, 128, 4, 4, 3, 32, 8},
          Backbone{"vit_s", 224, 16, 384, 12, 6, 5, 96, 24},
          Backbone{"vit_m", 224, 16, 576, 12, 9, 5, 96, 16}})
      for (const Prefix& prefix : prefixes)
        all.push_back({{.name = std::string(prefix.text) + b.name,
                        .classes = b.size == 32 ? 100 : 1000,
                        .heads = prefix.head == HeadKind::gap ? 1 : b.heads,
                        .size = b.size},
                       prefix,
                       b});
    return all;
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    const Backbone& b = row.backbone;
    const typename VitTrunk<T>::Options trunk{
        .size = info.size,
        .patch = b.patch,
        .channels = b.channels,
        .depth = b.depth,
        .heads = b.attention_heads,
        .class_token = row.prefix.plain,
        .drop_path = o.drop_path,
        .init = b.channels < 256 ? Init::xavier : Init::truncated_normal};
    if (row.prefix.plain)
      return {info, Vit<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng)};
    return {info, GaVit<T>({.classes = info.classes,
                            .heads = info.heads,
                            .head = row.prefix.head,
                            .trunk = trunk,
                            .gram_dim = b.gram_dim,
                            .embedding_groups = b.embedding_groups,
                            .embed = b.channels / 4},
                           rng)};
  }
};

}  // namespace gram::models
