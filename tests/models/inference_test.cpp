// SPDX-License-Identifier: MIT
// fuse_for_inference on whole networks.
#include <filesystem>

#include "gram/io/weights.hpp"
#include "gram/models/registry.hpp"
#include "support.hpp"

using namespace gram;

namespace {

/// Statistics and norm weights as training would leave them, not 0 and 1.
template <class Model>
void randomise(Model& model) {
  std::uint64_t key = 1;
  for_each_parameter(model, [&]<class T>(const std::string&, Parameter<T>& p) {
    if (p.rank() == 1) p.assign(rand<T>(p.shape(), 0.5, 1.5, ++key));
  });
  for_each_buffer(model, [&]<class T>(const std::string&, Buffer<T>& b) {
    const auto values = rand<T>(b.shape(), 0.5, 1.5, ++key);
    std::copy_n(values.data(), values.size(), b.data());
  });
}

}  // namespace

TEST_CASE("networks fused for inference give the logits of evaluation") {
  for (const char* name : {"ga_resnet29", "ga_resnet32", "ga_vit_tiny", "ga_convnext_nano", "ga_cswin_nano",
                           "groupmixformer_nano", "refiner_vit_nano_dense", "explicit_resnet29"}) {
    CAPTURE(name);
    Rng rng(1);
    auto model = models::create<float>(name, {.classes = 5}, rng);
    randomise(model);
    eval(model);
    const NoGrad off;
    const auto x = randn<float>({3, 32, 32, 3}, 2);
    const auto expected = model(x);
    fuse_for_inference(model);
    for (int call = 0; call < 2; ++call) {
      const auto logits = model(x);
      for (std::size_t i = 0; i < logits.size(); ++i) CHECK(test::close(logits[i], expected[i], 2e-5));
    }
    eval(model);
    CHECK(test::identical(model(x)[0], expected[0]));
  }
}

TEST_CASE("loading weights renews what was prepared") {
  Rng rng(1);
  auto model = models::create<float>("resnet29", {.classes = 5}, rng);
  auto other = models::create<float>("resnet29", {.classes = 5}, rng);
  const auto path = (std::filesystem::temp_directory_path() / "gram_inference_test.safetensors").string();
  save_weights(other, path);
  const NoGrad off;
  const auto x = randn<float>({2, 32, 32, 3}, 2);
  fuse_for_inference(model), fuse_for_inference(other);
  const auto before = model(x)[0];
  load_weights(model, path);
  CHECK_FALSE(test::close(model(x)[0], before, 1e-3));
  CHECK(test::identical(model(x)[0], other(x)[0]));
  std::filesystem::remove(path);
}
