// SPDX-License-Identifier: MIT
#include "gram/models/ga_cifar.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// Our name -> the name in the files, which have one block in a stage and number them through.
std::string file_name(std::string name) {
  for (const int s : {1, 2, 3}) {
    const std::string block = text("layer", s, ".0.");
    if (name.starts_with(block)) return text("blocks.", s - 1, ".") + name.substr(block.size());
  }
  const bool trunk = name.starts_with("conv1.") || name.starts_with("bn1.") || name.starts_with("aggregate.");
  return trunk ? name : "heads." + name;
}

template <Scalar T>
typename GaCifar<T>::Options tiny(bool bottleneck) {
  return {.classes = 10,
          .heads = 2,
          .trunk = {.blocks = 1, .bottleneck = bottleneck},
          .cardinality = 2,
          .dim = 16,
          .gram_dim = 8,
          .contraction_groups = 4,
          .embedding_groups = 4,
          .mlp_groups = 4};
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GA-ResNet for 32 x 32 images agrees with the reference", T, float, double) {
  for (const bool bottleneck : {true, false}) {
    CAPTURE(bottleneck);
    const Golden golden(bottleneck ? "own_ga_cifar_tiny_bottleneck_eval" : "own_ga_cifar_tiny_basic_eval");
    if (!golden.available()) return;
    Rng rng(1);
    GaCifar<T> model(tiny<T>(bottleneck), rng);
    eval(model);
    const Agreement error = test::compare<T>(
        golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, {"logits0", "logits1"},
        file_name);
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE("every kind of head and both kinds of block train: gradients reach all parameters") {
  for (const HeadKind head : {HeadKind::gram, HeadKind::cait, HeadKind::gap})
    for (const bool bottleneck : {true, false}) {
      auto options = tiny<float>(bottleneck);
      options.head = head;
      Rng rng(1);
      GaCifar<float> model(options, rng);
      const auto logits = model(randn<float>({4, 32, 32, 3}, 5));
      REQUIRE(logits.size() == 2);
      CHECK(logits[0].shape() == Shape{4, 10});
      backward<float>({{logits[0], randn<float>({4, 10}, 1)}, {logits[1], randn<float>({4, 10}, 2)}});
      for_each_parameter(
          model, [](const std::string& name, const auto& p) { CHECK_MESSAGE(p.grad().defined(), name); });
    }
}

TEST_CASE("weights of the CIFAR networks carry the published names") {
  Rng rng(1);
  GaCifar<float> model(tiny<float>(true), rng);
  std::string names = " ";
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  for (const char* name :
       {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer3.0.downsample.0.weight",
        "layer3.0.downsample.1.bias", "aggregate.1.0.weight", "aggregate.0.1.weight",
        "gram_contraction.0.0.weight", "ga.1.norm2.bias", "fc.1.weight"})
    CHECK_MESSAGE(names.find(text(" ", name, " ")) != std::string::npos, name);

  CifarResNet<float> plain({}, rng);
  names = " ";
  for_each_parameter(plain, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names.ends_with("layer3.2.bn3.bias fc.weight fc.bias "));
}

TEST_CASE("the same seed gives bit-identical losses for one and two threads") {
  const int before = threads();
  const auto run = [](int count) {
    set_threads(count);
    Rng rng(1);
    GaCifar<float> model(tiny<float>(true), rng);
    const auto logits = model(randn<float>({6, 32, 32, 3}, 5));
    backward<float>({{logits[0], ones<float>({6, 10})}, {logits[1], ones<float>({6, 10})}});
    return std::vector{logits[0].detach(), logits[1].detach(), model.trunk.conv1.weight.grad(),
                       model.heads.gram->heads[1].ga.attn.k.weight.grad()};
  };
  const auto one = run(1), two = run(2);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(test::identical(one[i], two[i]));
  set_threads(before);
}

TEST_CASE("cardinalities that do not divide are refused") {
  Rng rng(1);
  auto options = tiny<float>(true);
  options.cardinality = 3;
  CHECK(test::error_of([&] { GaCifar<float>(options, rng); }) ==
        "Pointwise: 3 groups; they must divide 448 inputs and 16 outputs");
}

TEST_CASE("an empty batch is refused in training, by the first norm, and gives no rows in evaluation") {
  Rng rng(1);
  GaCifar<float> model(tiny<float>(true), rng);
  const auto nothing = zeros<float>({0, 32, 32, 3});
  CHECK(test::error_of([&] { model(nothing); }) ==
        "bn1: batch_norm: x has shape (0, 32, 32, 16), but training expects more than 1 value per channel");
  eval(model);
  CHECK(model(nothing)[1].shape() == Shape{0, 10});
}
