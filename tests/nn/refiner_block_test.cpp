// SPDX-License-Identifier: MIT
#include "gram/nn/refiner_block.hpp"

#include "gram/ops/reduce.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Golden;
using Kind = RefinerAttentionKind;

namespace {

/// Weights of the size of one: at their first values, branches would hide behind the identity.
template <class Model>
void randomize(Model& model) {
  std::uint64_t stream = 0;
  for_each_parameter(model, [&](const std::string& name, auto& p) {
    const auto noise = randn<double>(p.shape(), RandomKey{9, stream++});
    const bool norm = name.find("norm") != std::string::npos || name.find("bn") != std::string::npos;
    const double centre = norm && name.ends_with("weight") ? 1 : 0;
    for (Index i = 0; i < p.size(); ++i)
      p.data()[i] =
          static_cast<typename std::decay_t<decltype(p)>::value_type>(centre + 0.4 * noise.data()[i]);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("blocks of all kinds agree with the released code", T, float, double) {
  struct Case {
    const char* file;
    Kind kind;
    Index expansion;
    bool incoming;
  };
  for (const auto& [file, kind, expansion, incoming] :
       {Case{"refiner_block_plain_first", Kind::plain, 3, false},
        Case{"refiner_block_plain_residual", Kind::plain, 3, true},
        Case{"refiner_block_share_eval", Kind::share, 3, true},
        Case{"refiner_block_share_train", Kind::share, 3, true},
        Case{"refiner_block_transform_eval", Kind::transform, 6, true},
        Case{"refiner_block_transform_train", Kind::transform, 6, true}}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(name);
    if (!golden.available()) return;
    Rng rng(1);
    RefinerBlock<T> block({.channels = 32, .heads = 4, .kind = kind, .expansion = expansion}, rng);
    train(block, name.ends_with("train"));
    const auto forward = [&](const std::vector<Tensor<T>>& in) {  // maps come channels last
      const auto y = block(in[0], in.size() > 1 ? permute(in[1], {0, 3, 1, 2}) : Tensor<T>{});
      return std::vector<Tensor<T>>{y.tokens, permute(y.map, {0, 2, 3, 1})};
    };
    const auto inputs = incoming ? std::vector<std::string>{"x", "attn"} : std::vector<std::string>{"x"};
    const auto error = test::compare<T>(golden, block, forward, inputs, {"x", "attn"});
    CHECK(error.output < (std::is_same_v<T, float> ? 1e-5 : 1e-6));
    CHECK(error.gradient < (std::is_same_v<T, float> ? 2e-5 : 2e-6));
  }
}

TEST_CASE("blocks of all kinds differentiate, in tokens and maps") {
  for (const Kind kind : {Kind::plain, Kind::share, Kind::transform})
    for (const bool training : {false, true})
      for (const Shape& shape : {Shape{2, 3, 6}, Shape{3, 1, 6}, Shape{1, 5, 6}}) {
        Rng rng(2);
        RefinerBlock<double> block({.channels = 6, .heads = 2, .kind = kind, .mlp_ratio = 2}, rng);
        randomize(block);
        train(block, training);
        const auto x = randn<double>(shape, 1);
        const auto map = rand<double>({shape[0], 2, shape[1], shape[1]}, 0, 1, 5);
        const auto both = [&](const auto& v, const auto& incoming) {
          const auto y = block(v, incoming);
          return std::vector<Tensor<double>>{y.tokens, y.map};
        };
        CHECK(gradcheck(both, x, map) < 1e-6);
        if (kind != Kind::share)
          CHECK(gradcheck([&](const auto& v) { return both(v, Tensor<double>{}); }, x) < 1e-6);
      }
}

TEST_CASE("plain attention adds the incoming map, scaled, to its own, and hands the sum on") {
  Rng rng(3);
  RefinerAttention<double> attn({.channels = 8, .heads = 2}, rng);
  randomize(attn);
  const auto x = randn<double>({2, 3, 8}, 1);
  const auto incoming = rand<double>({2, 2, 3, 3}, 0, 1, 2);
  const auto alone = attn(x), added = attn(x, incoming);
  CHECK(test::close(sum(alone.map, {-1}), ones<double>({2, 2, 3}), 1e-12));
  CHECK(test::close(added.map, add(alone.map, mul(incoming, 0.5)), 1e-12));  // d = 4
  CHECK_FALSE(test::close(added.tokens, alone.tokens, 1e-3));
}

TEST_CASE("share attention hands the incoming map on as it came, and has no queries") {
  Rng rng(3);
  RefinerAttention<double> attn({.channels = 8, .heads = 2, .kind = Kind::share}, rng);
  CHECK(attn.qkv.weight.shape() == Shape{8, 8});
  const auto x = randn<double>({2, 3, 8}, 1);
  const auto incoming = rand<double>({2, 2, 3, 3}, 0, 1, 2);
  CHECK(attn(x, incoming).map.data() == incoming.data());
}

TEST_CASE("attention of all kinds counts its products") {
  for (const auto& [kind, products] : {std::pair{Kind::plain, 2}, {Kind::share, 1}, {Kind::transform, 2}}) {
    Rng rng(1);
    RefinerAttention<float> attn({.channels = 8, .heads = 2, .kind = kind}, rng);
    CallLog log;
    attn(zeros<float>({3, 5, 8}), zeros<float>({3, 2, 5, 5}));
    Index matmuls = 0;
    for (const LayerCall& call : log.calls()) matmuls += call.matmuls;
    CHECK(matmuls == products * 3 * 5 * 5 * 8);
  }
}

TEST_CASE("the norms of a block see a x, and both branches weigh 1 / a") {
  Rng rng(4);
  RefinerBlock<double> half({.channels = 6, .heads = 2, .epsilon = 0.01}, rng);
  randomize(half);
  const auto x = randn<double>({2, 3, 6}, 1);
  const auto normed = [&](const LayerNorm<double>& norm, const Tensor<double>& v) {
    return layer_norm<double>(v * 0.5, norm.weight, norm.bias, 0.01);
  };
  const auto y = x + half.attn(normed(half.norm1, x)).tokens / 0.5;
  const auto z = y + half.mlp(normed(half.norm2, y)) / 0.5;
  CHECK(test::close(half(x).tokens, z, 1e-12));
}

TEST_CASE("the MLP ends with a factor for every channel, small at first") {
  Rng rng(5);
  ScaledMlp<float> mlp({.channels = 3, .hidden = 5}, rng);
  CHECK(test::identical(mlp.scale_channel.detach(), full(Shape{3}, 1e-5F)));
  const auto x = randn<float>({2, 3}, 1);
  const auto once = mlp(x);
  mlp.scale_channel.data()[1] *= 4;
  CHECK(mlp(x).at({1, 1}) == doctest::Approx(4 * once.at({1, 1})));
  CHECK(mlp(x).at({1, 2}) == once.at({1, 2}));
}

TEST_CASE("drop path of a refiner block acts in training only, on both branches") {
  Rng rng(6);
  RefinerBlock<double> block({.channels = 8, .heads = 2, .drop_path = 0.4}, rng);
  randomize(block);
  const auto x = randn<double>({16, 3, 8}, 1);
  const auto moved = [&] {  // images that neither branch changed
    const auto y = block(x).tokens;
    Index same = 0;
    for (Index n = 0; n < 16; ++n) same += test::identical(y.alias_rows(n, n + 1), x.alias_rows(n, n + 1));
    return 16 - same;
  };
  Index total = 0;
  for (int i = 0; i < 50; ++i) total += moved();
  CHECK(static_cast<double>(total) / 800 == doctest::Approx(1 - 0.4 * 0.4).epsilon(0.06));
  eval(block);
  CHECK(moved() == 16);
  CHECK(test::identical(block(x).tokens, block(x).tokens));
}

TEST_CASE("a block's parts are called as in the released code") {
  Rng rng(1);
  RefinerBlock<float> block({.channels = 4, .heads = 2}, rng);
  std::string names;
  for_each_parameter(block, [&](const std::string& name, auto& p) { names += text(name, p.shape(), " "); });
  CHECK(names ==
        "norm1.weight(4) norm1.bias(4) attn.qkv.weight(12, 4) attn.qkv.bias(12) attn.proj.weight(4, 4) "
        "attn.proj.bias(4) norm2.weight(4) norm2.bias(4) mlp.scale_channel(4) mlp.fc1.weight(12, 4) "
        "mlp.fc1.bias(12) mlp.fc2.weight(4, 12) mlp.fc2.bias(4) ");
}

TEST_CASE("blocks of all kinds run in bf16") {
  for (const Kind kind : {Kind::plain, Kind::share, Kind::transform}) {
    Rng rng(1);
    RefinerBlock<bf16> block({.channels = 8, .heads = 2, .kind = kind, .drop_path = 0.1}, rng);
    const auto y = block(randn<bf16>({2, 3, 8}, 1), rand<bf16>({2, 2, 3, 3}, 0, 1, 2));
    backward(y.tokens, ones<bf16>(y.tokens.shape()));
    CHECK(block.attn.qkv.weight.grad().defined());
    CHECK(std::isfinite(static_cast<float>(y.tokens.at({1, 2, 7}))));
  }
}

TEST_CASE("blocks refuse maps that do not fit, and options out of range") {
  Rng rng(1);
  RefinerBlock<float> plain({.channels = 8, .heads = 2}, rng);
  RefinerBlock<float> share({.channels = 8, .heads = 2, .kind = Kind::share}, rng);
  name_parameters(plain), name_parameters(share);
  const auto x = zeros<float>({2, 3, 8});
  CHECK(test::error_of([&] {
          plain(x, zeros<float>({2, 4, 3, 3}));
        }) ==
        "attn.qkv: RefinerAttention: incoming map has shape (2, 4, 3, 3), but 2 heads and tokens (2, 3, 8) "
        "need "
        "none or (2, 2, 3, 3)");
  CHECK(test::error_of([&] { share(x); }) ==
        "attn.qkv: RefinerAttention: there is no incoming map, but a share block reuses that of the block "
        "before");
  CHECK(test::error_of([&] { RefinerBlock<float>({.channels = 9, .heads = 2}, rng); }) ==
        "RefinerAttention: 2 heads; they must divide 9 channels");
  CHECK(test::error_of([&] { RefinerBlock<float>({.channels = 8, .adjust_ratio = 0}, rng); }) ==
        "RefinerBlock: adjust_ratio is 0; it must be positive");
}
