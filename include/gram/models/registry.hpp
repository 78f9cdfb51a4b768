// SPDX-License-Identifier: MIT
// Networks by name. A name is a prefix for the kind of classifier head and a backbone: "ga_resnet29",
// "cait_vit_s".
#pragma once
#include <span>

#include "gram/core/names.hpp"
#include "gram/models/ga_cifar.hpp"
#include "gram/models/ga_resnet.hpp"
#include "gram/models/ga_vit.hpp"
#include "gram/models/model.hpp"

namespace gram::models {

/// What can be chosen when a network is made by name; 0 stands for the network's own default.
struct CreateOptions {
  Index classes = 0;      ///< 100 for the networks of 32 x 32 images, else 1000
  Index heads = 0;        ///< classifier heads
  Index size = 0;         ///< side of the images; position embeddings depend on it
  Index cardinality = 0;  ///< groups of the heads' aggregation, CIFAR networks only
  Index dim = 0;          ///< channels of the heads' aggregation, CIFAR networks only
  double drop_path = 0;   ///< stochastic depth, transformers only
};

namespace detail {

enum class Family { cifar, resnet, vit };

struct Backbone {
  const char* name;
  Family family;
  Index depth;                                   ///< blocks of a stage, or of the transformer
  bool bottleneck;                               ///< CIFAR networks
  Index heads;                                   ///< Gramian heads by default
  Index cardinality, dim;                        ///< CIFAR networks
  Index size, patch, channels, attention_heads;  ///< transformers
  Index gram_dim, embedding_groups;
};

inline std::span<const Backbone> backbones() {
  using enum Family;
  static constexpr Backbone all[] = {
      // of "GA-ResNet for 32 x 32 images", tables C (29, 65, 110) and D (32)
      {"resnet29", cifar, 3, true, 1, 8, 128, 32, 0, 0, 0, 16, 8},
      {"resnet32", cifar, 5, false, 3, 2, 192, 32, 0, 0, 0, 16, 8},
      {"resnet65", cifar, 7, true, 1, 8, 128, 32, 0, 0, 0, 16, 8},
      {"resnet110", cifar, 12, true, 1, 8, 128, 32, 0, 0, 0, 16, 8},
      {"resnet50", resnet, 0, true, 5, 0, 0, 224, 0, 0, 0, 128, 16},
      {"vit_tiny", vit, 4, false, 1, 0, 0, 32, 4, 96, 3, 32, 8},
      {"vit_mini", vit, 6, false, 3, 0, 0, 32, 4, 192, 6, 48, 8},
      {"vit_s", vit, 12, false, 5, 0, 0, 224, 16, 384, 6, 96, 24},
      {"vit_m", vit, 12, false, 5, 0, 0, 224, 16, 576, 9, 96, 16},
  };
  return all;
}

struct Prefix {
  const char* text;
  bool plain;  ///< the network as published without any of this
  HeadKind head;
};
inline constexpr Prefix prefixes[] = {{"ga_", false, HeadKind::gram},
                                      {"cait_", false, HeadKind::cait},
                                      {"gap_", false, HeadKind::gap},
                                      {"", true, HeadKind::gap}};

template <Scalar T>
Model<T> make_cifar(const Info& info, const Backbone& b, const Prefix& prefix, const CreateOptions& o,
                    Rng& rng) {
  const typename CifarTrunk<T>::Options trunk{.blocks = b.depth, .bottleneck = b.bottleneck};
  if (prefix.plain)
    return Model<T>(info,
                    CifarResNet<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng));
  return Model<T>(info, GaCifar<T>({.classes = info.classes,
                                    .heads = info.heads,
                                    .head = prefix.head,
                                    .trunk = trunk,
                                    .cardinality = o.cardinality ? o.cardinality : b.cardinality,
                                    .dim = o.dim ? o.dim : b.dim},
                                   rng));
}

template <Scalar T>
Model<T> make_resnet(const Info& info, const Prefix& prefix, Rng& rng) {
  if (prefix.plain) return Model<T>(info, ResNet<T>({.classes = info.classes, .heads = info.heads}, rng));
  return Model<T>(info,
                  GaResNet<T>({.classes = info.classes, .heads = info.heads, .head = prefix.head}, rng));
}

template <Scalar T>
Model<T> make_vit(const Info& info, const Backbone& b, const Prefix& prefix, const CreateOptions& o,
                  Rng& rng) {
  const typename VitTrunk<T>::Options trunk{.size = info.size,
                                            .patch = b.patch,
                                            .channels = b.channels,
                                            .depth = b.depth,
                                            .heads = b.attention_heads,
                                            .class_token = prefix.plain,
                                            .drop_path = o.drop_path,
                                            .init = b.channels < 256 ? Init::xavier : Init::truncated_normal};
  if (prefix.plain)
    return Model<T>(info, Vit<T>({.classes = info.classes, .heads = info.heads, .trunk = trunk}, rng));
  return Model<T>(info, GaVit<T>({.classes = info.classes,
                                  .heads = info.heads,
                                  .head = prefix.head,
                                  .trunk = trunk,
                                  .gram_dim = b.gram_dim,
                                  .embedding_groups = b.embedding_groups,
                                  .embed = b.channels / 4},
                                 rng));
}

}  // namespace detail

/// The names that create() knows. "ga_": Gramian heads; "cait_": the same network with learned class tokens;
/// "gap_": with global average pooling and linear heads; no prefix: the plain network, as published.
/// Backbones: resnet29, 32, 65, 110 and vit_tiny, vit_mini for 32 x 32 images; resnet50, vit_s, vit_m for 224
/// x 224.
inline std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const detail::Backbone& backbone : detail::backbones())
    for (const detail::Prefix& prefix : detail::prefixes)
      all.push_back(std::string(prefix.text) + backbone.name);
  return all;
}

/// The network of that name with fresh weights: create<float>("ga_resnet50", {.classes = 10, .heads = 3},
/// rng). Throws ArgumentError for a name that is not in names(), with the nearest one, and for an option the
/// network does not have.
template <Scalar T>
Model<T> create(const std::string& name, const CreateOptions& options, Rng& rng) {
  for (const detail::Backbone& backbone : detail::backbones())
    for (const detail::Prefix& prefix : detail::prefixes) {
      if (name != std::string(prefix.text) + backbone.name) continue;
      const bool cifar = backbone.family == detail::Family::cifar,
                 vit = backbone.family == detail::Family::vit;
      const bool aggregates = cifar && !prefix.plain;
      const auto refuse = [&](bool given, const char* option) {
        require<ArgumentError>(!given, "create: ", name, " has no option ", option);
      };
      refuse(!aggregates && options.cardinality, "cardinality");
      refuse(!aggregates && options.dim, "dim");
      refuse(!vit && options.drop_path != 0, "drop_path");
      require<ArgumentError>(options.classes >= 0 && options.heads >= 0 && options.size >= 0,
                             "create: classes ", options.classes, ", heads ", options.heads, ", size ",
                             options.size, "; none may be negative (0: the network's default)");
      const Info info{.name = name,
                      .classes = options.classes       ? options.classes
                                 : backbone.size == 32 ? 100
                                                       : 1000,
                      .heads = options.heads                  ? options.heads
                               : prefix.head == HeadKind::gap ? 1
                                                              : backbone.heads,
                      .size = options.size ? options.size : backbone.size};
      if (cifar) return detail::make_cifar<T>(info, backbone, prefix, options, rng);
      if (vit) return detail::make_vit<T>(info, backbone, prefix, options, rng);
      return detail::make_resnet<T>(info, prefix, rng);
    }
  throw ArgumentError(unknown_name("create", "model", name, names()));
}

}  // namespace gram::models
