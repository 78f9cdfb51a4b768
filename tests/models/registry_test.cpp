// SPDX-License-Identifier: MIT
#include "gram/models/registry.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("every small model can be made by name and gives the logits of its heads") {
  int small = 0;
  for (const models::Entry& entry : models::entries()) {
    if (entry.size != 32) continue;
    CAPTURE(entry.name);
    Rng rng(1);
    const Index heads = entry.several_heads ? 2 : 1;
    auto model = models::create<float>(entry.name, {.classes = 7, .heads = heads}, rng);
    CHECK(model.info().name == entry.name);
    CHECK(model.info().size == Pair(32));
    eval(model);
    const NoGrad off;
    const auto logits = model(randn<float>({1, 32, 32, 3}, 1));
    REQUIRE(logits.size() == static_cast<std::size_t>(heads));
    CHECK(logits.back().shape() == Shape{1, 7});
    ++small;
  }
  CHECK(small >= 30);
}

TEST_CASE("a training step of every family gives the same bits for any number of threads") {
  for (const std::string name :
       {"ga_resnet29", "ga_vit_tiny", "ga_convnext_nano", "ga_cswin_nano", "groupmixformer_nano",
        "ga_groupmixformer_nano", "refiner_vit_nano_dense", "ga_refiner_vit_nano", "explicit_resnet29"}) {
    CAPTURE(name);
    const bool stochastic = !name.ends_with("resnet29");
    const Tensor<float> x = randn<float>({3, 32, 32, 3}, 2), cotangent = randn<float>({3, 5}, 3);
    CHECK(test::same_for_any_threads([&] {
      Rng rng(1);
      auto model = models::create<float>(name, {.classes = 5, .drop_path = stochastic ? 0.2 : 0.0}, rng);
      std::vector<Tensor<float>> results = model(x);
      std::vector<Root<float>> roots;
      for (const Tensor<float>& logits : results) roots.push_back({logits, cotangent});
      backward<float>(roots);
      for_each_parameter(model, [&](const std::string&, const auto& p) {
        if (p.grad().defined()) results.push_back(p.grad());
      });
      return results;
    }));
  }
}

TEST_CASE("a model made by name is a layer like any other") {
  Rng rng(1), same(1);
  auto model = models::create<float>("ga_resnet29", {.classes = 10, .heads = 3}, rng);
  GaCifar<float> direct({.classes = 10, .heads = 3}, same);
  CHECK(parameter_count(model) == parameter_count(direct));
  std::string one, other;
  for_each_part(model, [&](const std::string& name, auto&) { one += name + " "; });
  for_each_part(direct, [&](const std::string& name, auto&) { other += name + " "; });
  CHECK(one == other);
  const auto x = randn<float>({2, 32, 32, 3}, 4);
  CHECK(test::identical(model(x)[2].detach(), direct(x)[2].detach()));

  eval(model);
  for_each_part(model, []<class Part>(const std::string&, Part& part) {
    if constexpr (std::is_same_v<Part, Mode>) CHECK_FALSE(part.training);
  });
  auto moved = std::move(model);
  CHECK(parameter_count(moved) == parameter_count(direct));
}

TEST_CASE("bf16 networks keep their norms in float and run forward and backward") {
  Rng rng(1);
  auto model = models::create<bf16>("ga_vit_tiny", {.classes = 10, .heads = 2}, rng);
  int wide = 0, narrow = 0;
  for_each_parameter(model, [&]<class T>(const std::string& name, const Parameter<T>&) {
    const bool norm = std::same_as<T, float>;
    (norm ? wide : narrow) += 1;
    if (norm)
      CHECK_MESSAGE((name.find("norm") != std::string::npos || name.find(".1.") != std::string::npos), name);
  });
  CHECK(wide > 10);
  CHECK(narrow > 10);
  const auto logits = model(randn<bf16>({2, 32, 32, 3}, 4));
  backward<bf16>({{logits[0], ones<bf16>({2, 10})}, {logits[1], ones<bf16>({2, 10})}});
  for_each_parameter(model,
                     [](const std::string& name, const auto& p) { CHECK_MESSAGE(p.grad().defined(), name); });
}

TEST_CASE("unknown names and options a network does not have are refused") {
  Rng rng(1);
  const auto error = [&](const char* name, models::CreateOptions options) {
    return test::error_of([&] { models::create<float>(name, options, rng); });
  };
  CHECK(error("ga_resnet92", {})
            .starts_with("create: unknown model 'ga_resnet92'; did you mean 'ga_resnet29'? Known: "));
  CHECK(error("ga_resnet29", {.drop_path = 0.1}) == "create: ga_resnet29 has no option drop_path");
  CHECK(error("resnet29", {.dim = 64}) == "create: resnet29 has no option dim");
  CHECK(error("ga_vit_tiny", {.cardinality = 2}) == "create: ga_vit_tiny has no option cardinality");
  CHECK(error("ga_resnet29", {.classes = -1}) ==
        "create: classes -1, heads 0, size 0; none may be negative (0: the network's default)");
  auto model = models::create<float>("resnet29", {.classes = 10}, rng);
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 32, 32, 1}));
        }) == "resnet29: input has shape (1, 32, 32, 1); images (N, H, W, 3) are expected");
}
