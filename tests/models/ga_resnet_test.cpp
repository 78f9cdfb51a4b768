// SPDX-License-Identifier: MIT
#include "gram/models/ga_resnet.hpp"

#include "gram/nn/activation.hpp"
#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// Our name -> the name in the files, which count the layers of the stem and the stages from 0.
std::string file_name(std::string name) {
  const auto starts = [&](const char* prefix) { return name.starts_with(prefix); };
  const auto replace = [&](const char* prefix, const std::string& other) {
    return other + name.substr(std::strlen(prefix));
  };
  if (starts("conv1.")) return replace("conv1.", "stem.");
  if (starts("bn1.")) return replace("bn1.", "stem.7.");
  for (const int s : {1, 2, 3, 4}) {
    const std::string layer = text("layer", s, ".");
    if (starts(layer.c_str())) return replace(layer.c_str(), text("stages.", s - 1, "."));
  }
  if (starts("fuse.downsample.0")) return replace("fuse.downsample.0", "fuse.downsample.1");
  if (starts("fuse.downsample.1")) return replace("fuse.downsample.1", "fuse.downsample.2");
  return starts("fuse.") ? name : "heads." + name;
}

template <Scalar T>
typename GaResNet<T>::Options tiny(HeadKind head) {
  return {.classes = 10,
          .heads = 2,
          .head = head,
          .trunk = {.blocks = {1, 2, 2, 1},
                    .widths = {4, 8, 8, 8},
                    .outputs = {16, 32, 32, 32},
                    .deep = true,
                    .stem_width = 4,
                    .stem_out = 8,
                    .se_ratio = 1.0 / 8},
          .fuse_width = 8,
          .fuse_out = 32,
          .gram_dim = 16,
          .embedding_groups = 8,
          .embed = 8};
}

}  // namespace

TEST_CASE_TEMPLATE("a tiny GA-ResNet agrees with the reference", T, float, double) {
  struct Case {
    const char* file;
    HeadKind head;
    bool training;
    double tolerance;
  };
  for (const auto& [file, head, training, tolerance] :
       {Case{"own_ga_resnet_tiny_gram_eval", HeadKind::gram, false, 1e-5},
        Case{"own_ga_resnet_tiny_cait_eval", HeadKind::cait, false, 1e-5},
        Case{"own_ga_resnet_tiny_gram_train", HeadKind::gram, true, 1e-4}}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    GaResNet<T> model(tiny<T>(head), rng);
    train(model, training);
    const Agreement error = test::compare<T>(
        golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, {"logits0", "logits1"},
        file_name);
    CHECK(error.output < tolerance);
    CHECK(error.gradient < 2 * tolerance);
  }
}

TEST_CASE_TEMPLATE("the fusion block agrees with the released code", T, float, double) {
  for (const bool training : {true, false}) {
    const Golden golden(training ? "ga_stage5_bottleneck_train" : "ga_stage5_bottleneck_eval");
    if (!golden.available()) return;
    Rng rng(1);
    Bottleneck<T> block(
        {.in = 40, .width = 8, .out = 32, .reduced = 8, .shortcut = true, .shortcut_bias = true}, rng);
    train(block, training);
    const Agreement error = test::compare<T>(golden, block);
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE("weights carry timm's names, the released code's in the heads") {
  Rng rng(1);
  GaResNet<float> model(tiny<float>(HeadKind::gram), rng);
  std::string names = " ";
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  for_each_buffer(model, [&](const std::string& name, auto&) { names += name + " "; });
  for (const char* name :
       {"conv1.0.weight", "conv1.1.bias", "conv1.6.weight", "bn1.weight", "layer1.0.conv1.weight",
        "layer1.0.se.fc1.weight", "layer1.0.downsample.1.weight", "layer1.0.downsample.2.running_var",
        "layer4.0.bn3.bias", "fuse.conv2.weight", "fuse.se.fc2.bias", "fuse.downsample.0.weight",
        "fuse.downsample.1.weight", "gram_contraction.0.0.weight", "gram_embedding.1.1.running_mean",
        "ga.0.attn.q.weight", "ga.1.mlp.fc1.weight", "ga.0.gamma_1", "fc.0.bias"})
    CHECK_MESSAGE(names.find(text(" ", name, " ")) != std::string::npos, name);
  CHECK(names.find("layer2.1.downsample") == std::string::npos);
}

TEST_CASE("an image that does not fit is refused at the layer where it stops fitting") {
  Rng rng(1);
  GaResNet<float> model(tiny<float>(HeadKind::gram), rng);
  CHECK(test::error_of([&] {
          model(zeros<float>({1, 64, 64, 1}));
        }) == "conv1.0: conv2d: weight (4, 3, 3, 3) expects 3 input channels, input (1, 64, 64, 1) has 1");
}
