// SPDX-License-Identifier: MIT
#include "gram/models/ga_vit.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// Our name -> the name in the file, whose blocks have no folders for attention and MLP.
std::string file_name(std::string name) {
  for (const std::string part : {".attn.qkv.", ".attn.proj.", ".mlp."})
    if (const auto at = name.find(part); name.starts_with("blocks.") && at != std::string::npos)
      return name.substr(0, at) + name.substr(name.find('.', at + 1));
  if (name.starts_with("patch_embed.proj.")) return "patch_embed." + name.substr(17);
  const bool trunk = name == "pos_embed" || name.starts_with("norm.") || name.starts_with("blocks.");
  return trunk ? name : "heads." + name;
}

template <Scalar T>
typename GaVit<T>::Options tiny() {
  return {.classes = 10,
          .heads = 2,
          .trunk = {.size = 32, .patch = 8, .channels = 32, .depth = 2, .heads = 4},
          .gram_dim = 16,
          .embedding_groups = 8,
          .embed = 8};
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GA-ViT agrees with the reference", T, float, double) {
  const Golden golden("own_ga_vit_tiny_eval");
  if (!golden.available()) return;
  Rng rng(1);
  GaVit<T> model(tiny<T>(), rng);
  eval(model);
  const Agreement error = test::compare<T>(
      golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, {"logits0", "logits1"}, file_name);
  CHECK(error.output < 1e-5);
  CHECK(error.gradient < 2e-5);
}

TEST_CASE("a plain ViT has timm's names, with and without a class token") {
  Rng rng(1);
  typename Vit<float>::Options options{
      .classes = 5,
      .trunk = {.size = 16, .patch = 8, .channels = 8, .depth = 1, .heads = 2, .class_token = true}};
  Vit<float> model(options, rng);
  std::string names;
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names ==
        "cls_token pos_embed patch_embed.proj.weight patch_embed.proj.bias blocks.0.norm1.weight "
        "blocks.0.norm1.bias "
        "blocks.0.attn.qkv.weight blocks.0.attn.qkv.bias blocks.0.attn.proj.weight blocks.0.attn.proj.bias "
        "blocks.0.norm2.weight blocks.0.norm2.bias blocks.0.mlp.fc1.weight blocks.0.mlp.fc1.bias "
        "blocks.0.mlp.fc2.weight "
        "blocks.0.mlp.fc2.bias norm.weight norm.bias head.weight head.bias ");
  CHECK(model.trunk.pos_embed.shape() == Shape{1, 5, 8});
  CHECK(model(randn<float>({3, 16, 16, 3}, 1)).at(0).shape() == Shape{3, 5});

  options.trunk.class_token = false, options.heads = 2;
  Vit<float> average(options, rng);
  CHECK(average.trunk.pos_embed.shape() == Shape{1, 4, 8});
  CHECK(average(randn<float>({3, 16, 16, 3}, 1)).size() == 2);
}

TEST_CASE("a ViT's class token sees every patch, and its gradient reaches the image") {
  Rng rng(1);
  Vit<double> model(
      {.classes = 3,
       .trunk = {.size = 8, .patch = 4, .channels = 8, .depth = 2, .heads = 2, .class_token = true}},
      rng);
  CHECK(gradcheck([&](const Tensor<double>& x) { return model(x).at(0); }, randn<double>({1, 8, 8, 3}, 2)) <
        1e-6);
}

TEST_CASE("drop path skips branches in training only, more often in deeper blocks") {
  Rng rng(1);
  auto options = tiny<float>();
  options.trunk.drop_path = 0.5;
  GaVit<float> model(options, rng);
  CHECK(model.trunk.blocks[0].drop_path1.rate == 0);
  CHECK(model.trunk.blocks[1].drop_path2.rate == 0.5);
  const auto x = randn<float>({4, 32, 32, 3}, 3);
  CHECK_FALSE(test::identical(model.trunk(x).detach(), model.trunk(x).detach()));
  eval(model);
  CHECK(test::identical(model.trunk(x).detach(), model.trunk(x).detach()));
}

TEST_CASE("images of another size are refused") {
  Rng rng(1);
  GaVit<float> model(tiny<float>(), rng);
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 64, 64, 3}));
        }) ==
        "VitTrunk: input has shape (1, 64, 64, 3), but the position embedding is one for images of size (32, "
        "32)");
  auto options = tiny<float>();
  options.trunk.patch = 5;
  CHECK(test::error_of([&] { GaVit<float>(options, rng); }) ==
        "VitTrunk: image size (32, 32) is not a multiple of the patch 5");
}
