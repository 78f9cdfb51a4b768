// SPDX-License-Identifier: MIT
#include "gram/nn/cswin_block.hpp"

#include "gram/nn/gramian_heads.hpp"
#include "names_of.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;
using test::names_of;

TEST_CASE_TEMPLATE("CSWin blocks agree with the released code", T, float, double) {
  struct Case {
    const char* file;
    Index side;
    typename CswinBlock<T>::Options options;
  };
  for (const auto& [file, side, options] :
       {Case{"cswin_block_two_stripes", 8, {.channels = 32, .heads = 4, .split = 2}},
        Case{"cswin_block_last_stage", 4, {.channels = 32, .heads = 4, .whole = true}},
        Case{"cswin_block_grouped_mlp", 8, {.channels = 32, .heads = 4, .split = 4, .mlp_groups = 2}}}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    CswinBlock<T> block(options, rng);
    const Agreement error =
        test::compare<T>(golden, block,
                         [&, n = side](const auto& in) {
                           return std::vector<Tensor<T>>{block(reshape(in[0], {2, n, n, 32}))};
                         },
                         {"x"}, {"y"});
    CHECK(error.output < 1e-6);
    CHECK(error.gradient < 1e-6);
  }
}

TEST_CASE("a CSWin block has the names and shapes of the authors' code") {
  Rng rng(1);
  const std::string front =
      "qkv.weight qkv.bias norm1.weight norm1.bias proj.weight proj.bias attns.0.get_v.weight "
      "attns.0.get_v.bias ";
  const std::string back = "mlp.fc1.weight mlp.fc1.bias mlp.fc2.weight mlp.fc2.bias norm2.weight norm2.bias ";
  CswinBlock<float> stripes({.channels = 8}, rng),
      whole({.channels = 8, .whole = true, .mlp_groups = 4}, rng);
  CHECK(names_of(stripes) == front + "attns.1.get_v.weight attns.1.get_v.bias " + back);
  CHECK(names_of(whole) == front + back);
  CHECK(stripes.attns[1].get_v.weight.shape() == Shape{4, 3, 3, 1});
  CHECK(whole.attns[0].get_v.weight.shape() == Shape{8, 3, 3, 1});
  CHECK(stripes.mlp->fc1.weight.shape() == Shape{32, 8});
  CHECK(whole.grouped_mlp->fc1.weight.shape() == Shape{32, 2});
  CHECK(whole.grouped_mlp->fc1.weight.layout == Layout::pointwise);
  CswinGramLayer<float> layer({}, 12, rng);
  CHECK(names_of(layer).starts_with("1.qkv.weight 1.qkv.bias "));
  CHECK(layer.block.attns[1].heads == 3);
}

TEST_CASE("linear layers start as in transformers, convolutions as in PyTorch") {
  Rng rng(1);
  CswinBlock<float> block({.channels = 32, .mlp_groups = 2}, rng);
  const auto largest = [](const auto& x) { return test::largest(x); };
  CHECK(largest(block.qkv.weight) < 0.1);
  CHECK(largest(block.qkv.bias) == 0);
  CHECK(largest(block.proj.bias) == 0);
  CHECK(largest(block.attns[0].get_v.weight) > 0.25);  // up to 1/3
  CHECK(largest(block.attns[1].get_v.bias) > 0.2);
  CHECK(largest(block.grouped_mlp->fc1.weight) > 0.2);  // up to 1/4
  CHECK(largest(block.grouped_mlp->fc1.bias) > 0.2);
}

TEST_CASE("a CSWin block differentiates, with stripes and without") {
  for (const bool whole : {false, true})
    for (const Index groups : {1, 2}) {
      Rng rng(2);
      CswinBlock<double> block({.channels = 4,
                                .split = 2,
                                .whole = whole,
                                .mlp_ratio = 2,
                                .mlp_groups = groups,
                                .init = Init::xavier},
                               rng);
      CHECK(gradcheck([&](const auto& x) { return block(x); }, randn<double>({2, 4, 6, 4}, 1)) < 1e-6);
    }
}

TEST_CASE("a pixel sees the cross of its stripes in one block, and the map in two") {
  Rng rng(3);
  CswinBlock<double> first({.channels = 4, .split = 1, .init = Init::xavier}, rng),
      second({.channels = 4, .split = 1, .init = Init::xavier}, rng);
  auto x = randn<double>({1, 5, 7, 4}, 1);
  x.set_requires_grad();
  const auto reached = [&](const Tensor<double>& y) {  // pixels that pixel (1, 2) of y depends on
    x.zero_grad();
    auto dy = zeros<double>(y.shape());
    for (Index c = 0; c < 4; ++c) dy.at({0, 1, 2, c}) = 1.0 + double(c);
    backward(y, dy);
    std::string map;
    for (Index h = 0; h < 5; ++h)
      for (Index w = 0; w < 7; ++w) map += x.grad().at({0, h, w, 0}) != 0 ? '*' : '.';
    return map;
  };
  CHECK(reached(first(x)) ==
        "..*...."
        "*******"
        "..*...."
        "..*...."
        "..*....");
  CHECK(reached(second(first(x))) == std::string(35, '*'));
}

TEST_CASE("a CSWin block skips whole images in training only") {
  Rng rng(3);
  CswinBlock<double> block({.channels = 4, .split = 2, .drop_path = 0.5, .init = Init::xavier}, rng);
  const auto x = randn<double>({16, 4, 4, 4}, 1);
  const auto y = block(x);
  int skips = 0;
  for (Index n = 0; n < 16; ++n) skips += test::identical(y.alias_rows(n, n + 1), x.alias_rows(n, n + 1));
  CHECK(skips > 0);
  CHECK(skips < 16);
  CHECK_FALSE(test::identical(block(x), block(x)));
  eval(block);
  CHECK(test::identical(block(x), block(x)));
}

TEST_CASE("heads computed together agree with the textbook's, with a CSWin block before the Gram matrix") {
  using Head = GramianHead<double, CswinGramLayer<double>>;
  const Head::Options options{.channels = 16,
                              .classes = 5,
                              .gram_dim = 8,
                              .contraction_groups = 2,
                              .embedding_groups = 4,
                              .embed = 8,
                              .attention_heads = 2,
                              .mlp_groups = 2,
                              .layer = {.heads = 2, .split = 2, .mlp_groups = 2}};
  Rng rng(4);
  GramianHeads<double, CswinGramLayer<double>> heads(2, options, rng);
  CHECK(names_of(heads).find(" gram_layer.0.1.qkv.weight ") != std::string::npos);
  for_each_parameter(heads, [n = std::uint64_t{50}](const std::string&, auto& p) mutable {
    const auto values = rand<double>(p.shape(), -0.5, 0.5, n++);
    std::copy(values.span().begin(), values.span().end(), p.data());
  });
  eval(heads);
  const auto x = randn<double>({3, 4, 6, 16}, 5);
  const auto together = heads(x);
  for (std::size_t i = 0; i < 2; ++i) CHECK(test::close(together[i], heads.heads[i](x), 1e-12));
  CHECK_FALSE(test::close(together[0], together[1], 1e-3));
}

TEST_CASE("a CSWin block refuses channels it cannot halve and maps that its stripes do not divide") {
  Rng rng(1);
  CHECK(test::error_of([&] { CswinBlock<float>({.channels = 6, .heads = 3}, rng); }) ==
        "CswinBlock: 6 channels and 3 heads; both must be even for two kinds of stripes");
  CHECK(test::error_of([&] { CswinBlock<float>({.channels = 5, .heads = 2}, rng); }) ==
        "CswinBlock: 5 channels and 2 heads; both must be even for two kinds of stripes");
  CswinBlock<float> block({.channels = 4}, rng);
  name_parameters(block);
  CHECK(test::error_of([&] {
          block(zeros<float>({1, 7, 8, 4}));
        }) == "attns.0.get_v: StripeAttention: stripes of 7 pixels do not divide a map of (7, 8) pixels");
  CHECK(test::error_of([&] {
          block(zeros<float>({1, 8, 7, 4}));
        }) == "attns.1.get_v: StripeAttention: stripes of 7 pixels do not divide a map of (8, 7) pixels");
}
