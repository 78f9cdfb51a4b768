// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/refiner_vit.hpp"

namespace gram::models {

/// Refiner-ViTs: "refiner_vit_s", "refiner_vit_m", "refiner_vit_l", and "refiner_vit_s_dense", ... with the
/// head on patch tokens, too. "refiner_vit_nano" is ours, for 32 x 32 images.
struct RefinerCatalog {
  struct Backbone {
    const char* name;
    Index channels, depth, attention_heads, size = 224, patch = 16;
  };
  struct Row : Entry {
    Backbone backbone;
    bool dense;
  };

  static std::vector<Row> rows() {
    std::vector<Row> all;
    for (const Backbone& b :
         {Backbone{"refiner_vit_s", 384, 16, 12}, Backbone{"refiner_vit_m", 420, 32, 12},
          Backbone{"refiner_vit_l", 512, 32, 16}, Backbone{"refiner_vit_nano", 96, 6, 6, 32, 4}})
      for (const bool dense : {false, true})
        all.push_back({{.name = std::string(b.name) + (dense ? "_dense" : ""),
                        .classes = b.size == 32 ? 100 : 1000,
                        .size = b.size,
                        .several_heads = false},
                       b,
                       dense});
    return all;
  }
  /// Of the backbone's map.
  static std::vector<Index> channels(const Row& row) { return {row.backbone.channels}; }
  template <Scalar T>
  using Trunk = RefinerVitTrunk<T>;
  template <Scalar T>
  static typename Trunk<T>::Options trunk(const Row& row, const Info& info, const CreateOptions& o) {
    const Backbone& b = row.backbone;
    return {.size = info.size,
            .patch = b.patch,
            .channels = b.channels,
            .depth = b.depth,
            .heads = b.attention_heads,
            .drop_path = o.drop_path};
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    return {info, RefinerVit<T>({.classes = info.classes,
                                 .dense = row.dense,
                                 .mix_tokens = row.dense,
                                 .trunk = trunk<T>(row, info, o)},
                                rng)};
  }
};

}  // namespace gram::models
