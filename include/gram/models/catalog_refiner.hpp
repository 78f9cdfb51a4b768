// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/refiner_vit.hpp"

namespace gram::models {

/// Refiner-ViTs: "refiner_vit_s", "refiner_vit_m", "refiner_vit_l", and "refiner_vit_s_dense", ... with the
/// head on patch tokens, too.
struct RefinerCatalog {
  struct Backbone {
    const char* name;
    Index channels, depth, attention_heads;
  };
  struct Row : Entry {
    Backbone backbone;
    bool dense;
  };

  static std::vector<Row> rows() {
    std::vector<Row> all;
    for (const Backbone& b : {Backbone{"refiner_vit_s", 384, 16, 12}, Backbone{"refiner_vit_m", 420, 32, 12},
                              Backbone{"refiner_vit_l", 512, 32, 16}})
      for (const bool dense : {false, true})
        all.push_back(
            {{.name = std::string(b.name) + (dense ? "_dense" : ""), .several_heads = false}, b, dense});
    return all;
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    const Backbone& b = row.backbone;
    return {info, RefinerVit<T>({.classes = info.classes,
                                 .dense = row.dense,
                                 .mix_tokens = row.dense,
                                 .trunk = {.size = info.size,
                                           .channels = b.channels,
                                           .depth = b.depth,
                                           .heads = b.attention_heads,
                                           .drop_path = o.drop_path}},
                                rng)};
  }
};

}  // namespace gram::models
