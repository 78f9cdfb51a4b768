// SPDX-License-Identifier: MIT
// Every configuration of ../shared/keys, made by its name: names and shapes of all parameters and buffers,
// parameters and multiply-accumulates to the digit. The files were written with the authors' own code.
#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "golden.hpp"
#include "gram/io/weights.hpp"
#include "gram/metrics/operations.hpp"
#include "gram/models/registry.hpp"
#include "support.hpp"

using namespace gram;
using nlohmann::json;

namespace {

struct Stored {
  Shape shape;
  bool parameter;
  bool operator==(const Stored&) const = default;
};
using Tensors = std::map<std::string, Stored>;

std::string to_text(const Stored& t) { return text(t.parameter ? "parameter " : "buffer ", t.shape); }

/// The tensors of a file, without PyTorch's num_batches_tracked.
Tensors expected_tensors(const json& keys) {
  Tensors all;
  for (const auto& [name, tensor] : keys.items()) {
    if (name.ends_with("num_batches_tracked")) continue;
    Shape shape;
    for (const Index extent : tensor["shape"]) shape.append(extent);
    all[name] = {shape, tensor["kind"] == "param"};
  }
  return all;
}

Tensors tensors_of(models::Model<float>& model) {
  Tensors all;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    all[name] = {file_shape(p.shape(), p.layout), true};
  });
  for_each_buffer(model, [&](const std::string& name, const auto& b) { all[name] = {b.shape(), false}; });
  return all;
}

/// The first few tensors that only one side has, or both with different shapes; "" when there are none.
std::string differences(const Tensors& ours, const Tensors& expected) {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : expected) {
    const auto found = ours.find(name);
    if (found == ours.end())
      all.push_back(name + " is missing");
    else if (!(found->second == tensor))
      all.push_back(text(name, " is a ", to_text(found->second), ", expected ", to_text(tensor)));
  }
  for (const auto& [name, tensor] : ours)
    if (!expected.contains(name)) all.push_back(name + " is not expected");
  std::string first;
  for (std::size_t i = 0; i < std::min<std::size_t>(all.size(), 8); ++i) first += "\n  " + all[i];
  return all.size() > 8 ? first + text("\n  and ", all.size() - 8, " more") : first;
}

/// Multiply-accumulates with weights, by the rank of the weight in the file, and by the file's groups.
struct Products {
  Index conv = 0, linear = 0;
  std::map<std::string, Index> groups;
  std::string unknown;  ///< a layer whose weight is not in the file
};

Products products_of(const OperationCount& count, const json& file) {
  Products all;
  for (const auto& [group, value] : file["macs_by_group"].items()) all.groups[group] = 0;
  for (const LayerCall& call : count.layers) {
    if (call.products == 0) continue;
    const auto weight = file["keys"].find(call.path + ".weight");
    if (weight == file["keys"].end()) {
      all.unknown = call.path;
      continue;
    }
    ((*weight)["shape"].size() > 2 ? all.conv : all.linear) += call.products;
    for (auto& [group, products] : all.groups)
      if (call.path == group || call.path.starts_with(group + ".")) products += call.products;
  }
  return all;
}

void check_operations(models::Model<float>& model, const json& file) {
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  const Products products = products_of(count, file);
  const json& expected = file["macs_224"];
  CHECK(products.unknown == "");
  CHECK(products.conv == expected["conv"].get<Index>());
  CHECK(products.linear == expected["linear"].get<Index>());
  CHECK(count.matmuls == expected["matmul"].get<Index>());
  CHECK(count.products + count.matmuls == expected["total"].get<Index>());
  for (const auto& [group, products_of_group] : products.groups) {
    const std::string name = group;
    CAPTURE(name);
    CHECK(products_of_group == file["macs_by_group"][name].get<Index>());
  }
}

void check_configuration(const std::string& name, const json& file) {
  CAPTURE(name);
  const auto known = models::names();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    FAIL_CHECK(name, " is in keys/, but not in models::names()");
    return;
  }
  Rng rng(1);
  auto model = models::create<float>(name, {}, rng);
  CHECK(differences(tensors_of(model), expected_tensors(file["keys"])) == "");
  CHECK(parameter_count(model) == file["total_params"].get<Index>());
  check_operations(model, file);
}

}  // namespace

TEST_CASE("networks made by name have the tensors and the costs of the authors' code" *
          doctest::test_suite("published")) {
  if (!test::have_shared("keys/SUMMARY.json")) return;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(test::shared_folder() / "keys"))
    if (entry.path().extension() == ".json" && entry.path().stem() != "SUMMARY")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CHECK(!files.empty());
  for (const auto& path : files) check_configuration(path.stem().string(), json::parse(std::ifstream(path)));
}
