// SPDX-License-Identifier: MIT
#include "gram/nn/gramian_head.hpp"
#include "gram/nn/activation.hpp"

#include "nn/golden_module.hpp"

using namespace gram;
using test::Agreement;
using test::Golden;

namespace {

/// Heads in the textbook form under the names of the files: gram_contraction.K.0, ..
template <Scalar T>
struct TextbookGramianHeads {
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    std::vector<Tensor<T>> logits;
    for (auto& head : heads) logits.push_back(head(x));
    return logits;
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < heads.size(); ++i)
      heads[i].visit([&](std::string_view name, auto& part) { parts(text(name, ".", i), part); });
  }
  std::vector<GramianHead<T>> heads;
};

}  // namespace

TEST_CASE_TEMPLATE("Gramian heads in the textbook form agree with the released code", T, float, double) {
  struct Case {
    const char* file;
    int count;
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
  const Case cases[] = {{"ga_head_convnext_nolayer_train", 2, convnext},
                        {"ga_head_convnext_nolayer_eval", 2, convnext},
                        {"ga_head_cswin_nolayer_train", 1, cswin},
                        {"ga_head_cswin_nolayer_eval", 1, cswin}};
  for (const auto& [file, count, options] : cases) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Rng rng(1);
    TextbookGramianHeads<T> model;
    for (int i = 0; i < count; ++i) model.heads.emplace_back(options, rng);
    train(model, std::string(file).ends_with("train"));
    const auto outputs =
        count == 2 ? std::vector<std::string>{"logits0", "logits1"} : std::vector<std::string>{"logits0"};
    const Agreement error = test::compare<T>(
        golden, model, [&](const auto& in) { return model(in[0]); }, {"x"}, outputs);
    CHECK(error.output < 1e-5);
    CHECK(error.gradient < 2e-5);
  }
}

TEST_CASE_TEMPLATE("the Gram vector agrees with the released code", T, float, double) {
  for (const std::string file : {"ga_gram_eval", "ga_gram_train"}) {
    const std::string name = file;
    CAPTURE(name);
    const Golden golden(file);
    if (!golden.available()) return;
    Activate<T> no_parameters;
    const Agreement error = test::compare<T>(
        golden, no_parameters,
        [&](const auto& in) {
          return std::vector<Tensor<T>>{file == "ga_gram_train" ? cast<T>(gram_vector(cast<double>(in[0])))
                                                                : gram_vector(in[0])};
        },
        {"x"}, {"y"});
    CHECK(error.output < 1e-6);
    CHECK(error.gradient < 1e-6);
  }
}

namespace {

/// Leaves the map as it is, and asks for Gram vectors in double.
struct WideGram : NoGramLayer<float> {
  static constexpr bool wide = true;
  using NoGramLayer<float>::NoGramLayer;
};

}  // namespace

TEST_CASE(
    "Gram vectors of fewer than 128 images in training are made in double where the layer asks for it") {
  Rng rng(1);
  GramianHead<float, WideGram> head({.channels = 16,
                                     .classes = 3,
                                     .gram_dim = 32,
                                     .contraction_groups = 1,
                                     .embedding_groups = 1,
                                     .embed = 8},
                                    rng);
  const NoGrad off;
  const auto query = [&](const Tensor<float>& gram) { return head.gram_embedding(gram); };
  for (const bool training : {true, false})
    for (const Index images : {127, 128}) {
      CAPTURE(training);
      CAPTURE(images);
      train(head, training);
      const auto f = add(randn<float>({images, 3, 3, 32}, 2), 10);  // in float, digits are lost
      const auto exact = cast<float>(gram_vector(cast<double>(f)));
      REQUIRE(!test::identical(exact, gram_vector(f)));
      CHECK(test::identical(head.query(f), query(training && images < 128 ? exact : gram_vector(f))));
    }
}
