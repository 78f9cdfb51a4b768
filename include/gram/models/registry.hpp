// SPDX-License-Identifier: MIT
// Networks by name. Each family has its catalogue; here they are put together.
#pragma once
#include "gram/core/names.hpp"
#include "gram/models/catalog_convnext.hpp"
#include "gram/models/catalog_cswin.hpp"
#include "gram/models/catalog_explicit.hpp"
#include "gram/models/catalog_gramian.hpp"
#include "gram/models/catalog_group_mix_former.hpp"
#include "gram/models/catalog_refiner.hpp"
#include "gram/models/catalog_resnet.hpp"
#include "gram/models/catalog_vit.hpp"

namespace gram::models {
namespace detail {

template <class... Catalogs>
struct CatalogList {};
using AllCatalogs =
    CatalogList<CifarCatalog, ResNetCatalog, VitCatalog, ConvNextCatalog, CswinCatalog, GroupMixFormerCatalog,
                RefinerCatalog, ExplicitCatalog, GramianCatalog<GroupMixFormerCatalog>,
                GramianCatalog<RefinerCatalog>, GramianCatalog<ExplicitCatalog>>;

template <class... Catalogs>
std::vector<Entry> entries_of(CatalogList<Catalogs...>) {
  std::vector<Entry> all;
  const auto add = [&](const auto& rows) { all.insert(all.end(), rows.begin(), rows.end()); };
  (add(Catalogs::rows()), ...);
  return all;
}

template <Scalar T, class... Catalogs>
std::optional<Model<T>> make_named(CatalogList<Catalogs...>, const std::string& name,
                                   const CreateOptions& options, Rng& rng) {
  std::optional<Model<T>> model;
  (void)((model = make_from<Catalogs, T>(name, options, rng)).has_value() || ...);
  return model;
}

}  // namespace detail

/// All networks that create() knows, with their defaults.
inline std::vector<Entry> entries() { return detail::entries_of(detail::AllCatalogs{}); }

/// Their names. "ga_": Gramian heads; "cait_": the same network with learned class tokens;
/// "gap_": with global average pooling and linear heads; no prefix: the plain network, as published.
inline std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Entry& entry : entries()) all.push_back(entry.name);
  return all;
}

/// The network of that name with fresh weights: create<float>("ga_resnet50", {.classes = 10, .heads = 3},
/// rng). Throws ArgumentError for a name that is not in names(), with the nearest one, and for an option the
/// network does not have.
template <Scalar T>
Model<T> create(const std::string& name, const CreateOptions& options, Rng& rng) {
  std::optional<Model<T>> model = detail::make_named<T>(detail::AllCatalogs{}, name, options, rng);
  if (!model) throw ArgumentError(unknown_name("create", "model", name, names()));
  return std::move(*model);
}

}  // namespace gram::models
