// SPDX-License-Identifier: MIT
// Networks by name: what the catalogues of the families have in common. A catalogue is a struct with
//     struct Row : Entry { ... };              // a network and what makes it different from its kin
//     static std::vector<Row> rows();
//     template <Scalar T>                      // of the row's kind, with the numbers of info
//     static Model<T> make(const Row& row, const Info& info, const CreateOptions& options, Rng& rng);
#pragma once
#include <optional>

#include "gram/models/model.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram::models {

/// What can be chosen when a network is made by name; 0 stands for the network's own default.
struct CreateOptions {
  Index classes = 0;      ///< 100 for the networks of 32 x 32 images, else 1000
  Index heads = 0;        ///< classifier heads
  Index size = 0;         ///< side of the images; position embeddings depend on it
  Index cardinality = 0;  ///< groups of the heads' aggregation, CIFAR networks only
  Index dim = 0;          ///< channels of the heads' aggregation, CIFAR networks only
  double drop_path = 0;   ///< stochastic depth, networks that have it only
};

/// A network that can be made by name, and its defaults.
struct Entry {
  std::string name;
  Index classes = 1000, heads = 1, size = 224;
  bool several_heads = true;     ///< whether it can have more than one
  bool aggregation = false;      ///< whether cardinality and dim can be chosen
  bool stochastic_depth = true;  ///< whether drop_path can be chosen
};

/// A prefix of a name: the kind of classifier heads on a backbone.
struct Prefix {
  const char* text;
  bool plain;  ///< the network as published without any of this
  HeadKind head;
};
inline constexpr Prefix prefixes[] = {{"ga_", false, HeadKind::gram},
                                      {"cait_", false, HeadKind::cait},
                                      {"gap_", false, HeadKind::gap},
                                      {"", true, HeadKind::gap}};

namespace detail {

/// The entry with the choices of the options in it. Throws ArgumentError for options the network does not
/// have.
inline Info chosen(const Entry& entry, const CreateOptions& o) {
  const auto refuse = [&](bool given, const char* option) {
    require<ArgumentError>(!given, "create: ", entry.name, " has no option ", option);
  };
  refuse(!entry.aggregation && o.cardinality, "cardinality");
  refuse(!entry.aggregation && o.dim, "dim");
  refuse(!entry.stochastic_depth && o.drop_path != 0, "drop_path");
  require<ArgumentError>(o.classes >= 0 && o.heads >= 0 && o.size >= 0, "create: classes ", o.classes,
                         ", heads ", o.heads, ", size ", o.size,
                         "; none may be negative (0: the network's default)");
  require<ArgumentError>(entry.several_heads || o.heads <= 1, "create: ", entry.name, " has one head, not ",
                         o.heads);
  return {.name = entry.name,
          .classes = o.classes ? o.classes : entry.classes,
          .heads = o.heads ? o.heads : entry.heads,
          .size = o.size ? o.size : entry.size};
}

/// The network of that name, if this catalogue has it.
template <class Catalog, Scalar T>
std::optional<Model<T>> make_from(const std::string& name, const CreateOptions& options, Rng& rng) {
  for (const auto& row : Catalog::rows())
    if (row.name == name) return Catalog::template make<T>(row, chosen(row, options), options, rng);
  return {};
}

}  // namespace detail
}  // namespace gram::models
