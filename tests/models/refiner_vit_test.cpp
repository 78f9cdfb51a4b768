// SPDX-License-Identifier: MIT
#include "gram/models/refiner_vit.hpp"

#include "gram/loss/cosine_regularizer.hpp"
#include "gram/metrics/operations.hpp"
#include "gram/models/catalog_refiner.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Golden;
using test::identical;
using Kind = RefinerAttentionKind;

namespace {

template <Scalar T>
typename RefinerVit<T>::Options tiny() {
  return {.classes = 10,
          .dense = true,
          .mix_tokens = true,
          .trunk = {.size = 8, .patch = 4, .channels = 32, .depth = 4, .heads = 4}};
}

template <Scalar T>
RefinerVit<T> tiny_model(typename RefinerVit<T>::Options options = tiny<T>()) {
  Rng rng(1);
  return RefinerVit<T>(options, rng);
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny Refiner-ViT agrees with the released code", T, float, double) {
  const Golden golden("refiner_tiny_model_eval");
  if (!golden.available()) return;
  auto model = tiny_model<T>();
  eval(model);
  const auto error =
      test::compare<T>(golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, {"y"});
  CHECK(error.output < (std::is_same_v<T, float> ? 1e-5 : 1e-6));
  CHECK(error.gradient < (std::is_same_v<T, float> ? 2e-5 : 2e-6));
}

TEST_CASE("the logits are the class token's and half of the largest of the patches'") {
  auto model = tiny_model<double>();
  const auto x = randn<double>({3, 8, 8, 3}, 1);
  for (const bool training : {false, true}) {
    train(model, training);
    model.mix = false;
    const auto y = model.outputs(x);
    REQUIRE(y.token_logits.shape() == Shape{3, 4, 10});
    const auto combined = model(x);
    REQUIRE(combined.size() == 1);
    CHECK(test::close(combined[0], y.logits + 0.5 * max(y.token_logits, {1}), 1e-12));
    CHECK(y.maps.empty());
  }
  auto options = tiny<double>();
  options.dense = options.mix_tokens = false;
  auto plain = tiny_model<double>(options);
  eval(plain);
  const auto y = plain.outputs(x);
  CHECK_FALSE(y.token_logits.defined());
  CHECK(identical(plain(x)[0], y.logits));
}

TEST_CASE("as a backbone it has one map, the normalised patch tokens") {
  auto model = tiny_model<float>();
  eval(model);
  const auto x = randn<float>({2, 8, 8, 3}, 1);
  const auto maps = model.trunk(x);
  REQUIRE(maps.size() == 1);
  CHECK(maps[0].shape() == Shape{2, 2, 2, 32});
  CHECK(model.trunk.channels() == std::vector<Index>{32});
  const auto tokens = model.trunk.tokens(x).tokens;
  CHECK(tokens.shape() == Shape{2, 5, 32});
  CHECK(identical(reshape(slice(tokens, 1, 1, 5), {2, 2, 2, 32}), maps[0]));
}

TEST_CASE("attention maps are returned when asked for; share blocks return those of the block before") {
  auto model = tiny_model<float>();
  const auto y = model.outputs(randn<float>({2, 8, 8, 3}, 1), {.maps = true});
  REQUIRE(y.maps.size() == 4);
  for (const auto& map : y.maps) CHECK(map.shape() == Shape{2, 4, 5, 5});
  CHECK(y.maps[1].data() == y.maps[0].data());
  CHECK(y.maps[3].data() == y.maps[2].data());
  CHECK_FALSE(identical(y.maps[2], y.maps[0]));
  const auto loss = cosine_regularizer(y.maps, {.pairs = 3});
  CHECK(loss.item() > 0);
  backward(loss);
  CHECK(model.trunk.blocks[2].attn.qkv.weight.grad().defined());
}

TEST_CASE("training mixes tokens in a box and un-mixes their logits; evaluation does not") {
  auto options = tiny<double>();
  options.trunk.size = 16;
  auto model = tiny_model<double>(options);
  const auto x = randn<double>({3, 16, 16, 3}, 1);
  Rng twin = model.mix_rng;
  bool mixed = false;
  for (int i = 0; i < 8; ++i) {
    const auto y = model.outputs(x);
    CHECK(y.box == draw_token_box(4, twin));
    const auto tokens = model.trunk.tokens(x, {.box = y.box}).tokens;
    const auto raw = reshape((*model.aux_head)(slice(tokens, 1, 1, 17)), {3, 4, 4, 10});
    CHECK(test::close(reshape(y.token_logits, {3, 4, 4, 10}), mix_tokens(raw, y.box), 1e-12));
    mixed |= y.box.area() > 0 && !test::close(raw, mix_tokens(raw, y.box), 1e-3);
  }
  CHECK(mixed);
  CHECK(identical(model(x)[0], model(x)[0]));  // never mixes
  eval(model);
  CHECK(model.outputs(x).box == TokenBox{});
  CHECK(identical(model.outputs(x).logits, model.outputs(x).logits));
}

TEST_CASE("without blocks, mixing and un-mixing gives each image its own token logits") {
  auto options = tiny<double>();
  options.trunk.depth = 0;
  options.trunk.size = 16;
  auto model = tiny_model<double>(options);
  const auto x = randn<double>({4, 16, 16, 3}, 1);
  model.trunk.pos_embed.assign(zeros<double>({1, 17, 32}));  // positions belong to places, not to images
  const auto alone = [&] {
    model.mix = false;
    return model.outputs(x).token_logits;
  }();
  model.mix = true;
  TokenBox box;
  Tensor<double> unmixed;
  while (box.area() == 0) {
    const auto y = model.outputs(x);
    box = y.box, unmixed = y.token_logits;
  }
  CHECK(test::close(unmixed, alone, 1e-12));
}

TEST_CASE("with resize_positions a network takes images of other sizes") {
  auto options = tiny<double>();
  options.trunk.resize_positions = true;
  auto model = tiny_model<double>(options);
  eval(model);
  const auto x = randn<double>({2, 12, 16, 3}, 1);
  CHECK(model.trunk(x)[0].shape() == Shape{2, 3, 4, 32});

  options.trunk.resize_positions = false, options.trunk.size = {12, 16};
  auto other = tiny_model<double>(options);
  eval(other);
  for_each_parameter(model, [&](const std::string& name, const auto& from) {
    for_each_parameter(other, [&](const std::string& target, auto& to) {
      if (name == target)
        to.assign(name == "pos_embed" ? resize_position_embedding(from.detach(), 2, {3, 4}) : from.clone());
    });
  });
  CHECK(test::close(model(x)[0], other(x)[0], 1e-12));

  backward(model(x)[0], ones<double>({2, 10}));
  CHECK(model.trunk.pos_embed.grad().defined());
}

TEST_CASE("weights of another size load with their position embedding resized") {
  const std::string path =
      (std::filesystem::temp_directory_path() / "gram_refiner_vit_test.safetensors").string();
  auto source = tiny_model<float>();
  save_weights(source, path);
  auto options = tiny<float>();
  options.trunk.size = 16;
  Rng rng(2);
  RefinerVit<float> target(options, rng);
  const SafeTensors file = SafeTensors::read(path);
  std::filesystem::remove(path);
  const LoadReport report = load_weights(
      target, file, {.resize = [](const std::string& name, const Tensor<float>& values, const Shape&) {
        return name == "pos_embed" ? resize_position_embedding(values, 2, 4) : Tensor<float>{};
      }});
  CHECK(report.resized == std::vector<std::string>{"pos_embed"});
  const auto corner = [](const Tensor<float>& values, Index entry) {
    return values.detach().alias({values.dim(1), 32}).alias_rows(entry, entry + 1);
  };
  CHECK(identical(corner(target.trunk.pos_embed, 0), corner(source.trunk.pos_embed, 0)));
  CHECK(identical(corner(target.trunk.pos_embed, 16), corner(source.trunk.pos_embed, 4)));
  CHECK(target.trunk.pos_embed.requires_grad());
}

TEST_CASE("kinds of blocks can be chosen, and drop path grows with depth") {
  auto options = tiny<float>();
  options.trunk.kinds = {Kind::transform, Kind::plain, Kind::share};
  options.trunk.drop_path = 0.3;
  auto model = tiny_model<float>(options);
  const auto& blocks = model.trunk.blocks;
  CHECK(blocks[0].attn.kind == Kind::transform);
  CHECK(blocks[2].attn.kind == Kind::share);
  CHECK(blocks[3].attn.kind == Kind::transform);
  CHECK(blocks[0].drop_path1.rate == 0);
  CHECK(blocks[1].drop_path2.rate == doctest::Approx(0.1));
  CHECK(blocks[3].drop_path1.rate == 0.3);
  const auto x = randn<float>({4, 8, 8, 3}, 1);
  CHECK_FALSE(identical(model(x)[0], model(x)[0]));
  eval(model);
  CHECK(identical(model(x)[0], model(x)[0]));
}

TEST_CASE("Refiner-ViTs run and learn in bf16") {
  auto model = tiny_model<bf16>();
  const auto y = model.outputs(randn<bf16>({2, 8, 8, 3}, 1), {.maps = true});
  backward(token_mixing_loss(y.logits, y.token_logits, y.box, Tensor<std::int64_t>({2}, {3, 9})) +
           cosine_regularizer(y.maps, {.pairs = 2}));
  Index without = 0;
  for_each_parameter(model, [&](const std::string&, const auto& p) { without += !p.grad().defined(); });
  CHECK(without == 0);
}

TEST_CASE("a few steps on one batch lower the loss of both heads") {
  auto model = tiny_model<float>();
  const auto x = randn<float>({8, 8, 8, 3}, 1);
  const Tensor<std::int64_t> labels({8}, {0, 1, 2, 3, 4, 5, 6, 7});
  const auto step = [&] {
    zero_grad(model);
    const auto y = model.outputs(x);
    const auto loss = token_mixing_loss(y.logits, y.token_logits, y.box, labels);
    backward(loss);
    for_each_parameter(model, [](const std::string&, auto& p) {
      for (Index i = 0; i < p.size(); ++i) p.data()[i] -= 0.05F * p.grad().data()[i];
    });
    return loss.item();
  };
  const float first = step();
  float last = 0;
  for (int i = 0; i < 40; ++i) last = step();
  CHECK(last < 0.9F * first);
}

TEST_CASE("Refiner-ViTs refuse sizes and options that do not fit") {
  auto model = tiny_model<float>();
  CHECK(
      test::error_of([&] {
        model(zeros<float>({1, 16, 16, 3}));
      }) ==
      "RefinerVitTrunk: input has shape (1, 16, 16, 3), but the position embedding is one for images of size "
      "(8, 8); resize_positions takes others");
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 10, 8, 3}));
        }) ==
        "RefinerVitTrunk: input has shape (1, 10, 8, 3); height and width must be multiples of the patch 4");
  auto options = tiny<float>();
  options.trunk.patch = 3;
  CHECK(test::error_of([&] { tiny_model<float>(options); }) ==
        "RefinerVitTrunk: image size (8, 8) and patch 3; the size must be a multiple of the patch, the patch "
        "even");
  options = tiny<float>();
  options.trunk.kinds = {Kind::share};
  CHECK(test::error_of([&] { tiny_model<float>(options); }) ==
        "RefinerVitTrunk: the first block cannot share a map; there is none before it");
  options = tiny<float>();
  options.dense = false;
  CHECK(test::error_of([&] { tiny_model<float>(options); }) ==
        "RefinerVit: mix_tokens without dense; token logits are what tells images apart");
}
