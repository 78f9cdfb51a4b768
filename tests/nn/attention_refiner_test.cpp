// SPDX-License-Identifier: MIT
#include "gram/nn/attention_refiner.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Golden;

namespace {

/// Values under which every branch matters: norms away from the identity, positive variances.
template <class Model>
void randomize(Model& model, std::uint64_t seed) {
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (!std::is_same_v<Part, Mode> && !std::is_same_v<Part, Rng>) {
      const auto noise = randn<double>(part.shape(), RandomKey{seed, std::hash<std::string>{}(name)});
      const double centre = name.ends_with("running_var")          ? 1.5
                            : name.find("bn") != std::string::npos ? 0.8
                                                                   : 0;
      for (Index i = 0; i < part.size(); ++i)
        part.data()[i] = static_cast<typename Part::value_type>(centre + 0.3 * noise.data()[i]);
      if (name.ends_with("running_var"))
        for (auto& value : part.span()) value = std::abs(value) + typename Part::value_type(0.1F);
    }
  });
}

template <class Model>
std::string names_and_shapes(Model& model) {
  std::string all;
  for_each_part(model, [&]<class Part>(const std::string& name, Part& part) {
    if constexpr (!std::is_same_v<Part, Mode>) all += text(name, part.shape(), " ");
  });
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("distributed local attention agrees with the released code", T, float, double) {
  for (const auto& [file, expansion] : {std::pair{"refiner_dla_expand1_eval", 1},
                                        {"refiner_dla_expand3_eval", 3},
                                        {"refiner_dla_expand3_train", 3}}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(name);
    if (!golden.available()) return;
    Rng rng(1);
    DistributedLocalAttention<T> model({.heads = 4, .expansion = expansion}, rng);
    train(model, name.ends_with("train"));
    const auto error = test::compare<T>(
        golden, model, [&](const auto& in) { return std::vector<Tensor<T>>{model(in[0])}; }, {"attn"}, {"y"});
    CHECK(error.output < (std::is_same_v<T, float> ? 1e-5 : 5e-7));
    CHECK(error.gradient < (std::is_same_v<T, float> ? 2e-5 : 5e-7));
  }
}

TEST_CASE("distributed local attention and the refiner differentiate") {
  for (const Index expansion : {1, 2})
    for (const bool training : {false, true})
      for (const Shape& shape : {Shape{2, 3, 5, 2}, Shape{3, 1, 1, 2}, Shape{1, 4, 2, 2}}) {
        Rng rng(1);
        AttentionRefiner<double> refiner({.heads = 2, .expansion = expansion}, rng);
        randomize(refiner, 3);
        train(refiner, training);
        const auto x = randn<double>(shape, 4);
        CHECK(gradcheck([&](const auto& v) { return refiner.dla(v); }, x) < 1e-6);
        CHECK(gradcheck([&](const auto& v) { return refiner(permute(v, {0, 3, 1, 2})); }, x) < 1e-6);
      }
}

TEST_CASE("the refiner keeps the layout of maps and normalises each head") {
  Rng rng(1);
  AttentionRefiner<double> refiner({.heads = 3}, rng);
  randomize(refiner, 5);
  eval(refiner);
  const auto map = randn<double>({2, 3, 4, 6}, 2);
  const auto refined = refiner(map);
  const auto inner = refiner.dla(permute(map, {0, 2, 3, 1}));
  REQUIRE(refined.shape() == map.shape());
  const BatchNorm2d<double>& norm = refiner.adapt_bn;
  double worst = 0;
  for (Index n = 0; n < 2; ++n)
    for (Index h = 0; h < 3; ++h)
      for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 6; ++j) {
          const double expected = (inner.at({n, i, j, h}) - norm.running_mean.at({h})) /
                                      std::sqrt(norm.running_var.at({h}) + 1e-5) * norm.weight.at({h}) +
                                  norm.bias.at({h});
          worst = std::max(worst, std::abs(refined.at({n, h, i, j}) - expected));
        }
  CHECK(worst < 1e-12);
}

TEST_CASE("a refined value depends on its neighbours in all heads, and on nothing further away") {
  Rng rng(1);
  AttentionRefiner<double> refiner({.heads = 2}, rng);
  randomize(refiner, 6);
  eval(refiner);
  const auto map = randn<double>({1, 2, 5, 7}, 2);
  const auto before = refiner(map);
  const auto touched = map.clone();
  touched.at({0, 1, 2, 3}) += 0.25;
  const auto after = refiner(touched);
  for (Index h = 0; h < 2; ++h)
    for (Index i = 0; i < 5; ++i)
      for (Index j = 0; j < 7; ++j)
        CHECK((before.at({0, h, i, j}) != after.at({0, h, i, j})) ==
              (std::abs(i - 2) <= 1 && std::abs(j - 3) <= 1));
}

TEST_CASE("the running statistics of all four norms move in training, and not in evaluation") {
  Rng rng(1);
  AttentionRefiner<double> refiner({.heads = 2}, rng);
  const auto map = rand<double>({2, 2, 4, 4}, 0, 1, 3);
  const auto moved = [&] {
    std::vector<Tensor<double>> before;
    for_each_buffer(refiner, [&](const std::string&, const auto& b) { before.push_back(b.clone()); });
    refiner(map);
    Index count = 0;
    std::size_t next = 0;
    for_each_buffer(refiner, [&](const std::string&, const auto& b) {
      count += !test::identical(before[next++], b.clone());
    });
    return count;
  };
  CHECK(moved() == 8);
  eval(refiner);
  CHECK(moved() == 0);
}

TEST_CASE("the parts of a refiner are called as in the released code") {
  Rng rng(1);
  AttentionRefiner<float> refiner({.heads = 2, .expansion = 3}, rng);
  CHECK(names_and_shapes(refiner) ==
        "DLA.conv_exp.weight(6, 2) DLA.bn1.weight(6) DLA.bn1.bias(6) DLA.bn1.running_mean(6) "
        "DLA.bn1.running_var(6) DLA.depth_sep_conv.weight(6, 3, 3, 1) DLA.bn2.weight(6) DLA.bn2.bias(6) "
        "DLA.bn2.running_mean(6) DLA.bn2.running_var(6) DLA.conv_pro.weight(2, 6) DLA.bn3.weight(2) "
        "DLA.bn3.bias(2) DLA.bn3.running_mean(2) DLA.bn3.running_var(2) adapt_bn.weight(2) adapt_bn.bias(2) "
        "adapt_bn.running_mean(2) adapt_bn.running_var(2) ");
  DistributedLocalAttention<float> alone({.heads = 2, .expansion = 1}, rng);
  CHECK(names_and_shapes(alone).starts_with("depth_sep_conv.weight(2, 3, 3, 1) bn2.weight(2) "));
}

TEST_CASE("refiners run in bf16") {
  Rng rng(1);
  AttentionRefiner<bf16> refiner({.heads = 2}, rng);
  const auto map = rand<bf16>({2, 2, 3, 3}, 0, 1, 1).set_requires_grad();
  const auto refined = refiner(map);
  backward(refined, ones<bf16>(refined.shape()));
  CHECK(std::isfinite(static_cast<float>(refined.at({1, 1, 2, 2}))));
  CHECK(map.grad().defined());
}

TEST_CASE("refiners refuse other numbers of heads and no heads") {
  Rng rng(1);
  AttentionRefiner<float> refiner({.heads = 2}, rng);
  name_parameters(refiner);
  CHECK(test::error_of([&] {
          refiner(zeros<float>({1, 3, 4, 4}));
        }) == "DLA.conv_pro: AttentionRefiner: map has shape (1, 3, 4, 4), but (N, 2, Lq, Lk) is expected");
  CHECK(test::error_of([&] { DistributedLocalAttention<float>({.heads = 0}, rng); }) ==
        "DistributedLocalAttention: 0 heads, expansion 3; both must be positive");
  CHECK(test::error_of([&] { DistributedLocalAttention<float>({.heads = 2, .expansion = 0}, rng); }) ==
        "DistributedLocalAttention: 2 heads, expansion 0; both must be positive");
}
