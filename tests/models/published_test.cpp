// SPDX-License-Identifier: MIT
// Parameters and multiply-accumulates of the networks against the figures of the papers, to the published
// digit. Both the published figure and the one the specification measured stand in each row.
#include <cstdio>

#include "gram/metrics/operations.hpp"
#include "gram/models/ga_cifar.hpp"
#include "gram/models/ga_resnet.hpp"
#include "gram/models/ga_vit.hpp"
#include "support.hpp"

using namespace gram;

namespace {

/// "41.3" for 41,285,924 with the unit 1e6.
std::string in_units(Index value, double unit, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, static_cast<double>(value) / unit);
  return text;
}
std::string millions(Index value, int digits) { return in_units(value, 1e6, digits); }
std::string billions(Index value, int digits) { return in_units(value, 1e9, digits); }

}  // namespace

TEST_CASE("GA-ResNet50 has the published number of parameters with either head" *
          doctest::test_suite("published")) {
  struct Row {
    HeadKind head;
    Index heads;
    const char *published, *measured;
  };
  for (const auto& [head, heads, published, measured] :
       {Row{HeadKind::cait, 1, "21.8", "21.8137"}, Row{HeadKind::cait, 5, "38.5", "38.5499"},
        Row{HeadKind::gram, 1, "22.4", "22.3609"}}) {
    Rng rng(1);
    GaResNet<float> model({.heads = heads, .head = head}, rng);
    CHECK(millions(parameter_count(model), 1) == published);
    CHECK(millions(parameter_count(model), 4) == measured);
  }
}

TEST_CASE("GA-ResNet50 with five Gramian heads has 41.3 M parameters and 5.2 G multiply-accumulates" *
          doctest::test_suite("published")) {
  Rng rng(1);
  GaResNet<float> model({}, rng);
  set_convolution_method(ConvolutionMethod::direct);
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  set_convolution_method(ConvolutionMethod::automatic);
  CHECK(millions(count.parameters, 1) == "41.3");
  CHECK(millions(count.parameters, 4) == "41.2859");
  CHECK(billions(count.products, 1) == "5.2");
  CHECK(billions(count.products, 3) == "5.198");
  CHECK(billions(count.products + count.norms, 3) == "5.223");
  CHECK(billions(count.products + count.matmuls, 3) == "5.215");
  CHECK(billions(count.executed, 3) == "4.709");  // with the class attention re-associated

  const auto parameters = [](auto& part) { return parameter_count(part); };
  CHECK(parameters(*model.trunk.deep_stem) + parameters(model.trunk.bn1) == 28'768);
  CHECK(parameters(model.trunk.layers[0][0]) + parameters(model.trunk.layers[0][1]) +
            parameters(model.trunk.layers[0][2]) ==
        219'096);
  CHECK(parameters(model.fuse) == 4'494'656);
  auto& head = model.heads.gram->heads[0];
  CHECK(parameters(head.gram_contraction) == 16'768);
  CHECK(parameters(head.gram_embedding) == 531'456);
  CHECK(parameters(head.ga) == 3'158'016);
  CHECK(parameters(head.fc) == 1'025'000);
}

TEST_CASE("plain ResNet-50 has 25.6 M parameters, and 44.0 M with ten linear heads" *
          doctest::test_suite("published")) {
  Rng rng(1);
  ResNet<float> one({}, rng);
  CHECK(parameter_count(one) == 25'557'032);
  const Index head = parameter_count(one.heads);
  CHECK(millions(parameter_count(one) + 9 * head, 1) == "44.0");
}

TEST_CASE("the CIFAR baselines have the published parameters and multiply-accumulates" *
          doctest::test_suite("published")) {
  struct Row {
    Index blocks, parameters;
    const char *published, *products, *with_norms;
  };
  for (const auto& [blocks, parameters, published, products, with_norms] :
       {Row{3, 336'244, "0.05", ".0471", ".0485"}, Row{7, 707'188, "0.10", ".1006", ".1034"},
        Row{12, 1'170'868, "0.17", ".1675", ".1719"}}) {
    Rng rng(1);
    CifarResNet<float> model({.trunk = {.blocks = blocks}}, rng);
    const OperationCount count = count_operations<float>(model, {1, 32, 32, 3});
    CHECK(count.parameters == parameters);
    CHECK(billions(count.products + count.norms, 2) == published);
    CHECK(billions(count.products, 4) == std::string("0") + products);
    CHECK(billions(count.products + count.norms, 4) == std::string("0") + with_norms);
  }
}

TEST_CASE("the GA-ResNets for CIFAR have the published parameters and multiply-accumulates" *
          doctest::test_suite("published")) {
  struct Row {
    Index blocks;
    bool bottleneck;
    Index cardinality, dim, heads;
    HeadKind head;
    int digits;  // of the published parameter count
    const char *parameters, *operations, *measured, *products, *with_norms;
  };
  constexpr HeadKind gram = HeadKind::gram, gap = HeadKind::gap;
  const Row rows[] = {
      {3, true, 8, 128, 1, gram, 2, "0.36", "0.05", "0.3574", "0.0487", "0.0500"},   // table C, depth 29
      {7, true, 8, 128, 1, gram, 2, "0.76", "0.11", "0.7570", "0.1040", "0.1067"},   // 65
      {12, true, 8, 128, 1, gram, 2, "1.26", "0.18", "1.2565", "0.1731", "0.1776"},  // 110
      {12, true, 1, 32, 8, gap, 1, "2.5", "0.26", "2.5483", "0.2555", "0.2600"},     // table 1, row 1
      {12, true, 1, 32, 8, gram, 1, "2.6", "0.26", "2.5669", "0.2558", "0.2604"},    // row 2
      {12, true, 1, 64, 8, gram, 1, "4.0", "0.35", "3.9915", "0.3443", "0.3488"},    // row 3
      {12, true, 2, 64, 8, gram, 1, "2.6", "0.26", "2.6153", "0.2562", "0.2607"},    // row 4
      {12, true, 2, 128, 8, gram, 1, "4.1", "0.35", "4.1006", "0.3450", "0.3496"},   // row 5
      {12, true, 8, 128, 8, gram, 1, "2.0", "0.22", "2.0362", "0.2128", "0.2174"},   // rows 6, 7
      {5, false, 2, 192, 3, gram, 2, "0.75", "0.08", "0.7479", "0.0800", "0.0806"},  // table D, GA-R32
      {12, true, 4, 192, 3, gram, 2, "2.04", "0.22", "2.0424", "0.2178", "0.2223"},  // GA-R110
  };
  for (const Row& row : rows) {
    Rng rng(1);
    GaCifar<float> model({.heads = row.heads,
                          .head = row.head,
                          .trunk = {.blocks = row.blocks, .bottleneck = row.bottleneck},
                          .cardinality = row.cardinality,
                          .dim = row.dim},
                         rng);
    const OperationCount count = count_operations<float>(model, {1, 32, 32, 3});
    CAPTURE(std::string(row.measured));
    CHECK(millions(count.parameters, row.digits) == row.parameters);
    CHECK(millions(count.parameters, 4) == row.measured);
    CHECK(billions(count.products + count.norms, 2) == row.operations);
    CHECK(billions(count.products, 4) == row.products);
    CHECK(billions(count.products + count.norms, 4) == row.with_norms);
  }
}

TEST_CASE("GA-ViT-S has the published parameters with either head, and 4.3 G multiply-accumulates" *
          doctest::test_suite("published")) {
  struct Row {
    HeadKind head;
    Index heads;
    const char *published, *measured;
  };
  for (const auto& [head, heads, published, measured] :
       {Row{HeadKind::cait, 1, "22.8", "22.792"}, Row{HeadKind::cait, 5, "27.3", "27.301"},
        Row{HeadKind::gram, 1, "22.9", "22.872"}}) {
    Rng rng(1);
    GaVit<float> model({.heads = heads, .head = head}, rng);
    CHECK(millions(parameter_count(model), 1) == published);
    CHECK(millions(parameter_count(model), 3) == measured);
  }
  Rng rng(1);
  GaVit<float> model({}, rng);
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  CHECK(millions(count.parameters, 1) == "27.7");
  CHECK(millions(count.parameters, 3) == "27.702");
  CHECK(billions(count.products, 1) == "4.3");
  CHECK(billions(count.products, 3) == "4.302");
  CHECK(billions(count.products + count.matmuls, 3) == "4.666");
}

TEST_CASE("GA-ViT-M has 60.5 M parameters and 9.6 G multiply-accumulates" *
          doctest::test_suite("published")) {
  Rng rng(1);
  GaVit<float> model({.trunk = {.channels = 576, .heads = 9}, .embedding_groups = 16, .embed = 144}, rng);
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  CHECK(millions(count.parameters, 1) == "60.5");
  CHECK(millions(count.parameters, 3) == "60.519");
  CHECK(billions(count.products, 1) == "9.6");
  CHECK(billions(count.products, 3) == "9.632");
  CHECK(billions(count.products + count.matmuls, 2) == "10.17");
}

TEST_CASE("plain ViT-S has 22.1 M parameters, and 29.4 M with twenty linear heads" *
          doctest::test_suite("published")) {
  Rng rng(1);
  Vit<float> model({}, rng);
  CHECK(millions(parameter_count(model), 1) == "22.1");
  CHECK(millions(parameter_count(model) + 19 * parameter_count(model.head.fc[0]), 1) == "29.4");
}
