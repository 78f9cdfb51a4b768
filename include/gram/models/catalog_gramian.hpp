// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/catalog_explicit.hpp"
#include "gram/models/catalog_group_mix_former.hpp"
#include "gram/models/catalog_refiner.hpp"
#include "gram/models/gramian_classifier.hpp"

namespace gram::models {

/// Gramian heads on the backbones of another catalogue, of which no paper tells: "ga_groupmixformer_tiny",
/// "ga_refiner_vit_s", "ga_explicit_resnet50", ... A backbone's maps are fused at the size of its last but
/// one to as many channels as its last has, at most 1024; the heads read a single map as it is.
template <class Catalog>
struct GramianCatalog {
  using Row = typename Catalog::Row;

  static std::vector<Row> rows() {
    std::vector<Row> all;
    for (Row row : Catalog::rows()) {
      if (row.name.ends_with("_dense")) continue;  // a second head is no part of a backbone
      row.name = "ga_" + row.name;
      row.heads = row.size == 32 ? 3 : 5, row.several_heads = true;
      all.push_back(std::move(row));
    }
    return all;
  }
  template <Scalar T>
  static Model<T> make(const Row& row, const Info& info, const CreateOptions& o, Rng& rng) {
    using Trunk = typename Catalog::template Trunk<T>;
    const typename Trunk::Options trunk = Catalog::template trunk<T>(row, info, o);
    const std::vector<Index> channels = Catalog::channels(row);
    FeatureOptions features;
    Index width = channels.back();
    if (channels.size() > 1) {
      for (std::size_t i = 0; i < channels.size(); ++i) features.maps.push_back(i);
      features.reference = channels.size() - 2;
      features.out = width = std::min<Index>(width, 1024);
    }
    const Index groups = width % 8 == 0 ? 8 : 4;
    return {info, GramianClassifier<Trunk>({.classes = info.classes,
                                            .heads = info.heads,
                                            .backbone = trunk,
                                            .features = features,
                                            .gram_dim = row.size == 32 ? 32 : 96,
                                            .contraction_groups = groups,
                                            .embedding_groups = groups,
                                            .embed = width / 16 * 4,
                                            .attention_heads = 4},
                                           rng)};
  }
};

}  // namespace gram::models
