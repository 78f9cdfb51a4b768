// SPDX-License-Identifier: MIT
#include "gram/nn/gramian_heads.hpp"

#include "gram/nn/cait_heads.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// The heads of a fused layer, one after another in the textbook form, over one map or over a map for each.
template <class Heads>
std::vector<Tensor<double>> textbook(Heads& fused, const std::vector<Tensor<double>>& maps) {
  std::vector<Tensor<double>> logits;
  for (std::size_t i = 0; i < fused.heads.size(); ++i)
    logits.push_back(fused.heads[i](maps[i % maps.size()]));
  return logits;
}

/// Two ways to compute the same heads: the largest difference of an output relative to the largest output, or
/// of a gradient relative to the largest gradient (some are zero but for rounding: biases in front of batch
/// norms).
template <class Heads, class One, class Other>
double distance(Heads& heads, const std::vector<Tensor<double>>& maps, One one, Other other) {
  using List = std::vector<Tensor<double>>;
  const auto run = [&](auto& forward, List& gradients) {
    List leaves;
    for (const auto& map : maps) leaves.push_back(map.clone().set_requires_grad());
    zero_grad(heads);
    const List logits = forward(leaves);
    std::vector<Root<double>> roots;
    for (std::size_t i = 0; i < logits.size(); ++i)
      roots.push_back({logits[i], randn<double>(logits[i].shape(), 50 + i)});
    backward(roots);
    for (auto& leaf : leaves) gradients.push_back(leaf.grad());
    for_each_parameter(heads,
                       [&](const std::string&, const auto& p) { gradients.push_back(p.grad().clone()); });
    return logits;
  };
  const auto relative = [](const List& a, const List& b) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      difference = std::max(difference, test::difference(a[i], b[i]));
      size = std::max(size, test::largest(b[i]));
    }
    return difference / size;
  };
  List from_one, from_other;
  const List a = run(one, from_one), b = run(other, from_other);
  return std::max(relative(a, b), relative(from_one, from_other));
}

/// Random values in all parameters, so that layer scales of 1e-4 do not hide what lies behind them.
template <class Heads>
void scramble(Heads& heads) {
  std::uint64_t seed = 100;
  for_each_parameter(heads, [&](const std::string& name, auto& p) {
    const bool norm = name.ends_with("norm1.weight") || name.ends_with("norm2.weight");
    const auto values = rand<double>(p.shape(), norm ? 0.5 : -0.5, norm ? 1.5 : 0.5, seed++);
    std::copy(values.span().begin(), values.span().end(), p.data());
  });
}

}  // namespace

TEST_CASE("fused Gramian heads equal the textbook form to 1e-12, outputs and gradients") {
  for (const Index count : {1, 2, 5})
    for (const Index groups : {1, 2, 4})
      for (const bool training : {true, false}) {
        CAPTURE(count);
        CAPTURE(groups);
        CAPTURE(training);
        Rng rng(7);
        GramianHeads<double> heads(count,
                                   {.channels = 24,
                                    .classes = 7,
                                    .gram_dim = 8,
                                    .contraction_groups = groups,
                                    .embedding_groups = 4,
                                    .embed = 12,
                                    .attention_heads = 3,
                                    .mlp_ratio = 2,
                                    .mlp_groups = 2},
                                   rng);
        scramble(heads);
        train(heads, training);
        const std::vector<Tensor<double>> map{randn<double>({3, 5, 4, 24}, 3)};
        CHECK(distance(
                  heads, map, [&](const auto& x) { return heads(x[0]); },
                  [&](const auto& x) { return textbook(heads, x); }) < 1e-12);
      }
}

TEST_CASE("heads over maps of their own, and CaiT heads, equal the textbook form to 1e-12") {
  Rng rng(8);
  const GramianHead<double>::Options options{.channels = 16,
                                             .classes = 5,
                                             .gram_dim = 8,
                                             .contraction_groups = 8,
                                             .embedding_groups = 4,
                                             .embed = 8,
                                             .mlp_ratio = 1,
                                             .mlp_groups = 8};
  GramianHeads<double> heads(3, options, rng);
  scramble(heads);
  std::vector<Tensor<double>> maps;
  for (const std::uint64_t i : {0U, 1U, 2U}) maps.push_back(randn<double>({4, 3, 3, 16}, 20 + i));
  CHECK(distance(
            heads, maps, [&](const auto& x) { return heads(x); },
            [&](const auto& x) { return textbook(heads, x); }) < 1e-12);

  CaitHeads<double> cait(3, {.channels = 16, .classes = 5, .embed = 8, .mlp_groups = 4}, rng);
  scramble(cait);
  CHECK(distance(
            cait, maps, [&](const auto& x) { return cait(x); },
            [&](const auto& x) { return textbook(cait, x); }) < 1e-12);
  maps.resize(1);
  CHECK(distance(
            cait, maps, [&](const auto& x) { return cait(x[0]); },
            [&](const auto& x) { return textbook(cait, x); }) < 1e-12);
}

TEST_CASE_TEMPLATE("fused Gramian heads agree with the released code", T, float, double) {
  struct Case {
    const char* file;
    std::vector<std::string> outputs;
    typename GramianHead<T>::Options options;
  };
  const typename GramianHead<T>::Options convnext{.channels = 32,
                                                  .classes = 10,
                                                  .gram_dim = 8,
                                                  .contraction_groups = 1,
                                                  .embedding_groups = 4,
                                                  .embed = 16,
                                                  .mlp_groups = 4};
  const typename GramianHead<T>::Options cswin{.channels = 32,
                                               .classes = 10,
                                               .gram_dim = 16,
                                               .contraction_groups = 8,
                                               .embedding_groups = 8,
                                               .embed = 8,
                                               .mlp_groups = 2};
  const Case cases[] = {{"ga_head_convnext_nolayer_train", {"logits0", "logits1"}, convnext},
                        {"ga_head_convnext_nolayer_eval", {"logits0", "logits1"}, convnext},
                        {"ga_head_cswin_nolayer_train", {"logits0"}, cswin},
                        {"ga_head_cswin_nolayer_eval", {"logits0"}, cswin}};
  for (const auto& [file, outputs, options] : cases) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    GramianHeads<T> heads(static_cast<Index>(outputs.size()), options, rng);
    train(heads, std::string(file).ends_with("train"));
    const Agreement error = test::compare<T>(
        golden, heads, [&](const auto& in) { return heads(in[0]); }, {"x"}, outputs);
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE("classifier heads refuse a wrong number of maps, and no heads at all") {
  Rng rng(1);
  const CaitHead<float>::Options options{.channels = 16, .classes = 5, .embed = 8};
  const CaitHeads<float> heads(2, options, rng);
  CHECK(test::error_of([&] {
          heads(std::vector{zeros<float>({1, 2, 2, 16})});
        }) == "classifier heads: 1 maps for 2 heads");
  CHECK(test::error_of([&] { CaitHeads<float>(0, options, rng); }) ==
        "CaitHeads: 0 heads; at least one is needed");
}
