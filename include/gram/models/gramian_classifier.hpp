// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/features.hpp"
#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram {

/// Which maps of a backbone the heads read, and how they become one.
struct FeatureOptions {
  std::vector<std::size_t> maps{};  ///< numbers of the maps, side by side in this order; empty: the last one
  std::size_t reference = 0;        ///< the others take the size of maps[reference]
  Index width = 0;                  ///< inner width of the block that fuses several maps; 0: a quarter of out
  Index out = 0;                    ///< channels of the fused map; 0: those of the last map
  double se_ratio = 0.25;           ///< of the fusion block's squeeze-and-excitation, to width; 0: none
};

/// Gramian heads on any backbone (models/features.hpp). One map goes to the heads as it is; several are
/// aggregated and fused by a bottleneck block, as in GaResNet. x (N, H, W, 3) -> the logits (N, classes) of
/// every head. Parameters have the backbone's names, "fuse.*", and those of the heads. Throws ArgumentError
/// for a map the backbone does not have and for groups that do not divide the channels.
/// Source: Ryu et al., "Gramian attention heads are strong yet efficient vision learners", ICCV 2023,
/// sections 3 and 4.
template <class Backbone, class Layer = NoGramLayer<typename Backbone::value_type>>
struct GramianClassifier {
  using T = typename Backbone::value_type;
  struct Options {
    Index classes = 1000, heads = 5;
    HeadKind head = HeadKind::gram;
    typename Backbone::Options backbone{};
    FeatureOptions features{};
    Index gram_dim = 128, contraction_groups = 8, embedding_groups = 8;
    Index embed = 0;  ///< width of the class attention; 0: a quarter of the map's channels
    Index attention_heads = 8, mlp_groups = 4;
    double mlp_ratio = 4;
    typename Layer::Options layer{};
  };

  GramianClassifier(const Options& o, Rng& rng)
      : backbone(o.backbone, rng),
        features(chosen(o.features, backbone.channels())),
        fuse(fusion(features, backbone.channels(), rng)),
        heads(o.head, o.heads,
              {.channels = features.out,
               .classes = o.classes,
               .gram_dim = o.gram_dim,
               .contraction_groups = o.contraction_groups,
               .embedding_groups = o.embedding_groups,
               .embed = o.embed ? o.embed : features.out / 4,
               .attention_heads = o.attention_heads,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups,
               .layer = o.layer},
              rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    const std::vector<Tensor<T>> all = backbone(x);
    if (!fuse) return heads(all[features.maps[0]]);
    std::vector<Tensor<T>> maps;
    for (const std::size_t i : features.maps) maps.push_back(all[i]);
    return heads((*fuse)(aggregate(maps, features.reference)));
  }
  void visit(auto&& parts) { backbone.visit(parts), parts("fuse", fuse), heads.visit(parts); }

  Backbone backbone;
  FeatureOptions features;  ///< with nothing left open
  std::optional<Bottleneck<T>> fuse;
  ClassifierHeads<T, Layer> heads;

 private:
  static FeatureOptions chosen(FeatureOptions f, const std::vector<Index>& channels) {
    if (f.maps.empty()) f.maps = {channels.size() - 1};
    for (const std::size_t map : f.maps)
      require<ArgumentError>(map < channels.size(), "GramianClassifier: map ", map, " of a backbone with ",
                             channels.size(), " maps");
    require<ArgumentError>(f.reference < f.maps.size(), "GramianClassifier: reference ", f.reference, " of ",
                           f.maps.size(), " chosen maps");
    require<ArgumentError>(f.maps.size() > 1 || (f.width == 0 && f.out == 0),
                           "GramianClassifier: width and out belong to the fusion of several maps; one is "
                           "chosen");
    if (f.out == 0) f.out = channels[f.maps.back()];
    if (f.width == 0) f.width = f.out / 4;
    return f;
  }
  static std::optional<Bottleneck<T>> fusion(const FeatureOptions& f, const std::vector<Index>& channels,
                                             Rng& rng) {
    if (f.maps.size() == 1) return {};
    Index in = 0;
    for (const std::size_t map : f.maps) in += channels[map];
    return Bottleneck<T>(
        {.in = in,
         .width = f.width,
         .out = f.out,
         .reduced = f.se_ratio > 0 ? rounded_to_eight(static_cast<double>(f.width) * f.se_ratio) : 0,
         .shortcut = true},
        rng);
  }
};

}  // namespace gram
