// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog.hpp"
#include "gram/models/ga_cifar.hpp"
#include "gram/models/ga_resnet.hpp"

namespace gram::models {

/// ResNets for 32 x 32 images with their kinds of heads: "ga_resnet29", "cait_resnet29", "gap_resnet29",
/// "resnet29", ...
struct CifarCatalog {
  struct Row : Entry {
    Prefix prefix;
    Index blocks;     ///< of a stage
    bool bottleneck;  ///< or basic blocks
    Index cardinality, dim;
  };

  /// Of "GA-ResNet for 32 x 32 images", tables C (29, 65, 110) and D (32).
  static std::vector<Row> rows() {
    std::vector<Row> all;
    for (const auto& [name, blocks, bottleneck, heads, cardinality, dim] :
         {Backbone{"resnet29", 3, true, 1, 8, 128}, Backbone{"resnet32", 5, false, 3, 2, 192},
          Backbone{"resnet65", 7, true, 1, 8, 128}, Backbone{"resnet110", 12, true, 1, 8, 128}})
      for (const Prefix& prefix : prefixes)
        all.push_back({{.name = std::string(prefix.text) + name,
                        .classes = 100,
                        .heads = prefix.head == HeadKind::gap ? 1 : heads,
                        .size = 32,
                        .aggregation = !prefix.plain,
                        .stochastic_depth = false},
                       prefix,
                       blocks,
                       bottleneck,
                       cardinality,
                       dim});
    return all;
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    const typename CifarTrunk<T>::Options trunk{.blocks = row.blocks, .bottleneck = row.bottleneck};
    if (row.prefix.plain)
      return {info, CifarResNet<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng)};
    return {info, GaCifar<T>({.classes = info.classes,
                              .heads = info.heads,
                              .head = row.prefix.head,
                              .trunk = trunk,
                              .cardinality = o.cardinality ? o.cardinality : row.cardinality,
                              .dim = o.dim ? o.dim : row.dim},
                             rng)};
  }

 private:
  struct Backbone {
    const char* name;
    Index blocks;
    bool bottleneck;
    Index heads, cardinality, dim;
  };
};

/// ResNet50 and GA-ResNet50 with their kinds of heads; plain only, the deeper "resnet101" and "resnet152",
/// and "resnet50d" (ResNet-D, arXiv:1812.01187).
struct ResNetCatalog {
  struct Row : Entry {
    Prefix prefix;
    std::array<Index, 4> blocks;
    bool deep;  ///< ResNet-D
  };

  static std::vector<Row> rows() {
    std::vector<Row> all;
    const auto add = [&](const Prefix& prefix, const char* name, const std::array<Index, 4>& blocks,
                         bool deep) {
      all.push_back({{.name = std::string(prefix.text) + name,
                      .heads = prefix.head == HeadKind::gap ? 1 : 5,
                      .stochastic_depth = false},
                     prefix,
                     blocks,
                     deep});
    };
    for (const Prefix& prefix : prefixes) add(prefix, "resnet50", {3, 4, 6, 3}, false);
    constexpr Prefix plain{"", true, HeadKind::gap};
    add(plain, "resnet101", {3, 4, 23, 3}, false);
    add(plain, "resnet152", {3, 8, 36, 3}, false);
    add(plain, "resnet50d", {3, 4, 6, 3}, true);
    return all;
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions&, Rng& rng) {
    if (row.prefix.plain)
      return {info, ResNet<T>({.classes = info.classes,
                               .heads = info.heads,
                               .trunk = {.blocks = row.blocks, .deep = row.deep}},
                              rng)};
    return {info, GaResNet<T>({.classes = info.classes, .heads = info.heads, .head = row.prefix.head}, rng)};
  }
};

}  // namespace gram::models
