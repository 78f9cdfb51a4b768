// SPDX-License-Identifier: MIT
#include <cstdio>

#include "gram/metrics/operations.hpp"
#include "gram/models/catalog_explicit.hpp"
#include "gram/models/resnet.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/reduce.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

template <Scalar T>
typename ExplicitResNet<T>::Options tiny() {
  return {.classes = 5,
          .trunk = {.blocks = {1, 2}, .widths = {4, 8}, .stem = 4, .share = 0.5, .attention_heads = 2}};
}
template <Scalar T>
typename ExplicitResNet<T>::Options of_depth(std::vector<Index> blocks) {
  return {.trunk = {.blocks = std::move(blocks)}};
}
std::string in_units(Index value, double unit, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, static_cast<double>(value) / unit);
  return text;
}

/// Blocks start as their shortcuts; here they are to make a difference.
template <class Model>
void open_blocks(Model& model) {
  for_each_parameter(model, []<Scalar T>(const std::string& name, Parameter<T>& p) {
    if (name.ends_with("bn3.weight")) std::fill(p.span().begin(), p.span().end(), T(0.7));
  });
}

}  // namespace

TEST_CASE("attention saves 8 F dv - dv^2 parameters in each block and adds a radius" *
          doctest::test_suite("published")) {
  for (const auto& [blocks, plain] : {std::pair{std::array<Index, 4>{3, 4, 6, 3}, Index{25'557'032}},
                                      std::pair{std::array<Index, 4>{3, 4, 23, 3}, Index{44'549'160}},
                                      std::pair{std::array<Index, 4>{3, 8, 36, 3}, Index{60'192'808}}}) {
    Rng rng(1), same(1);
    ResNet<float> resnet({.trunk = {.blocks = blocks}}, rng);
    CHECK(parameter_count(resnet) == plain);
    ExplicitResNet<float> model(of_depth<float>({blocks.begin(), blocks.end()}), same);
    Index expected = plain;
    for (const auto& [stage, F, dv] : {std::array<Index, 3>{1, 128, 12}, {2, 256, 25}, {3, 512, 51}})
      expected -= blocks[static_cast<std::size_t>(stage)] * (8 * F * dv - dv * dv - 1);
    CHECK(parameter_count(model) == expected);
  }
}

TEST_CASE(
    "ResNet-152 with attention has 57.66 M parameters, 6.4 % below AA-ResNet152, and 22.2 G operations" *
    doctest::test_suite("published")) {
  Rng rng(1);
  ExplicitResNet<float> model(of_depth<float>({3, 8, 36, 3}), rng);
  set_convolution_method(ConvolutionMethod::direct);
  const OperationCount count = count_operations<float>(model, {1, 224, 224, 3});
  set_convolution_method(ConvolutionMethod::automatic);
  CHECK(in_units(count.parameters, 1e6, 3) == "57.656");
  CHECK(in_units(2 * count.products, 1e9, 3) == "22.125");
  // As a dense product and as it is executed: the map of a block with a stride is that of its input.
  CHECK(in_units(2 * (count.products + count.matmuls), 1e9, 3) == "22.567");
  CHECK(in_units(2 * count.executed, 1e9, 3) == "22.153");
  CHECK(radii(model).size() == 47);
}

TEST_CASE("maps, names and radii are where they should be") {
  Rng rng(1);
  ExplicitResNet<float> model(tiny<float>(), rng);
  std::string names = " ";
  for_each_parameter(model,
                     [&](const std::string& name, auto& p) { names += name + to_text(p.shape()) + " "; });
  for (const char* name : {"conv1.weight(4, 7, 7, 3)", "bn1.weight(4)", "layer1.0.conv2.weight(4, 3, 3, 4)",
                           "layer1.0.downsample.0.weight(16, 1, 1, 4)", "layer2.0.conv1.weight(8, 1, 1, 16)",
                           "layer2.0.conv2.conv.weight(4, 3, 3, 8)", "layer2.0.conv2.att.value.weight(4, 8)",
                           "layer2.1.conv2.att.log_radius(2)", "layer2.1.conv2.att.proj.weight(4, 4)",
                           "layer2.1.bn2.weight(8)", "fc.weight(5, 32)"})
    CHECK_MESSAGE(names.find(text(" ", name, " ")) != std::string::npos, name);
  CHECK(model.trunk.channels() == std::vector<Index>{16, 32});
  const auto maps = model.trunk(randn<float>({2, 33, 20, 3}, 1));
  CHECK(maps[0].shape() == Shape{2, 9, 5, 16});
  CHECK(maps[1].shape() == Shape{2, 5, 3, 32});
  auto options = tiny<float>().trunk;
  options.small_images = true;
  const auto fine = ExplicitResNetTrunk<float>(options, rng)(randn<float>({2, 9, 7, 3}, 1));
  CHECK(fine[0].shape() == Shape{2, 9, 7, 16});
  CHECK(fine[1].shape() == Shape{2, 5, 4, 32});
  const auto found = radii(model);
  REQUIRE(found.size() == 2);
  CHECK(found[0].layer == "layer2.0.conv2.att");
  CHECK(found[1].radii == std::vector<double>{1, 1});
}

TEST_CASE("without attention the network is a ResNet, weight by weight") {
  Rng rng(1), same(1);
  ResNet<float> resnet({.classes = 7}, rng);
  typename ExplicitResNet<float>::Options options{.classes = 7};
  options.trunk.first = 4;
  ExplicitResNet<float> model(options, same);
  open_blocks(resnet), open_blocks(model);
  const auto x = randn<float>({1, 64, 64, 3}, 1);
  CHECK(test::identical(model(x)[0].detach(), resnet(x)[0].detach()));
  const auto names = [](auto& network) {
    std::string all;
    for_each_part(network, [&](const std::string& name, auto&) { all += name + " "; });
    return all;
  };
  CHECK(names(model) == names(resnet));
}

TEST_CASE("a small network differentiates, radii included") {
  Rng rng(1);
  auto options = tiny<double>();
  options.trunk.small_images = true, options.trunk.first = 0;
  ExplicitResNet<double> model(options, rng);
  eval(model);
  open_blocks(model);
  const auto x = randn<double>({2, 6, 5, 3}, 1), dy = randn<double>({2, 5}, 2);
  const auto objective = [&] { return sum(mul(model(x)[0], dy)); };
  backward(objective());
  const NoGrad off;
  int checked = 0;
  for_each_parameter(model, [&](const std::string& name, auto& p) {
    if (!name.ends_with("log_radius")) return;
    for (Index h = 0; h < p.size(); ++h, ++checked) {
      const double before = p.data()[h], step = 1e-5;
      p.data()[h] = before + step;
      const double above = objective().data()[0];
      p.data()[h] = before - step;
      const double below = objective().data()[0];
      p.data()[h] = before;
      const double numeric = (above - below) / (2 * step);
      CHECK(std::abs(numeric) > 1e-6);
      CHECK(p.grad().data()[h] == doctest::Approx(numeric).epsilon(1e-5));
    }
  });
  CHECK(checked == 6);
}

TEST_CASE("a step gives the same bits for any number of threads") {
  CHECK(test::same_for_any_threads([] {
    Rng rng(1);
    ExplicitResNet<float> model(tiny<float>(), rng);
    open_blocks(model);
    const auto logits = model(randn<float>({3, 64, 64, 3}, 1))[0];
    backward(logits, randn<float>(logits.shape(), 2));
    std::vector<Tensor<float>> all{logits.detach()};
    for_each_parameter(model, [&](const std::string&, auto& p) { all.push_back(p.grad()); });
    return all;
  }));
}

TEST_CASE("networks with explicit attention can be made by name") {
  for (const auto& row : models::ExplicitCatalog::rows()) {
    if (row.size != 32) continue;
    Rng rng(1);
    const models::Info info = models::detail::chosen(row, {.classes = 7, .heads = 2});
    auto model = models::ExplicitCatalog::make<bf16>(row, info, {}, rng);
    const auto logits = model(randn<bf16>({2, 32, 32, 3}, 1));
    REQUIRE(logits.size() == 2);
    CHECK(logits[1].shape() == Shape{2, 7});
    backward<bf16>({{logits[0], ones<bf16>({2, 7})}, {logits[1], ones<bf16>({2, 7})}});
    for_each_parameter(
        model, [](const std::string& name, const auto& p) { CHECK_MESSAGE(p.grad().defined(), name); });
    const auto found = radii(model);
    CHECK(found.size() == 9);
    CHECK(found[0].layer == "layer1.0.conv2.att");
  }
  Rng rng(1);
  auto large = models::detail::make_from<models::ExplicitCatalog, float>("explicit_resnet50", {}, rng);
  REQUIRE(large.has_value());
  CHECK(radii(*large).size() == 13);
  CHECK(large->info().size == Pair(224));
}

TEST_CASE("stages without a width are refused") {
  Rng rng(1);
  CHECK(test::error_of([&] {
          ExplicitResNet<float>({.trunk = {.blocks = {1, 2}}}, rng);
        }) == "ExplicitResNetTrunk: 2 stages in blocks, 4 in widths");
}

TEST_CASE("attention without heads, or of all channels, is refused") {
  Rng rng(1);
  CHECK(test::error_of([&] { ExplicitResNet<float>({.trunk = {.attention_heads = 0}}, rng); }) ==
        "ExplicitResNetTrunk: 0 attention heads, share 0.1; at least one head, and a share in [0, 1), are "
        "needed");
  CHECK(test::error_of([&] { ExplicitResNet<float>({.trunk = {.share = 1}}, rng); }).find("share 1;") !=
        std::string::npos);
}
