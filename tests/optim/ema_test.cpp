// SPDX-License-Identifier: MIT
#include "gram/optim/ema.hpp"

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/linear.hpp"
#include "support.hpp"

using namespace gram;

namespace {

template <Scalar T>
struct Averaged {
  void visit(auto&& parts) { parts("layer", layer), parts("tied", tied), parts("norm", norm); }

  Rng rng{1};
  Linear<T> layer{{.in = 3, .out = 2}, rng}, tied = layer;
  BatchNorm2d<T> norm{{.channels = 2}};
};

template <Scalar T>
void set(const Tensor<T>& x, float value) {
  for (T& element : x.span()) element = T(value);
}

}  // namespace

TEST_CASE_TEMPLATE("averages move towards the values by their share", T, float, double, bf16) {
  Averaged<T> model;
  set(model.layer.weight, 1), set(model.norm.running_var, 1);
  Ema<T> ema(model, {.decay = 0.75});
  set(model.layer.weight, 3), set(model.norm.running_var, 5);
  ema.update(), ema.update();  // 1 -> 1.5 -> 1.875
  std::string names;
  for (const auto& [name, average] : ema.state()) {
    names += name + " ";
    if (name == "layer.weight") CHECK(test::close(average, full<accum_t<T>>({2, 3}, 1.875F), 1e-7));
    if (name == "norm.running_var") CHECK(test::close(average, full<accum_t<T>>({2}, 2.75F), 1e-7));
  }
  CHECK(names.find("layer.weight layer.bias norm.weight norm.bias norm.running_mean norm.running_var ") == 0);
}

TEST_CASE_TEMPLATE("averages stand in for the values for a while", T, float, bf16) {
  Averaged<T> model;
  set(model.layer.weight, 1);
  Ema<T> ema(model, {.decay = 0.5});
  set(model.layer.weight, 3);
  ema.update();
  {
    const typename Ema<T>::InPlace averages(ema);
    CHECK(test::close(model.layer.weight, full<T>({2, 3}, T(2.0F)), 0));
    CHECK(test::close(model.tied.weight, full<T>({2, 3}, T(2.0F)), 0));
    CHECK(test::error_of([&] { ema.update(); }) ==
          "Ema::update: the averages are in the place of the model's values");
    CHECK(test::error_of([&] { const typename Ema<T>::InPlace twice(ema); }) ==
          "Ema: the averages are in the place of the model's values already");
  }
  CHECK(test::close(model.layer.weight, full<T>({2, 3}, T(3.0F)), 0));
}

TEST_CASE("what was prepared for inference does not outlive the averages") {
  Averaged<float> model;
  Ema<float> ema(model, {.decay = 0.5});
  set(model.layer.weight, 3);
  ema.update();
  fuse_for_inference(model);
  const auto x = randn<float>({4, 3}, 1);
  const NoGrad off;
  const auto trained = model.layer(x);
  {
    const Ema<float>::InPlace averages(ema);
    CHECK_FALSE(test::close(model.layer(x), trained, 1e-2));
  }
  CHECK(test::identical(model.layer(x), trained));
}

TEST_CASE("Ema says what does not fit") {
  Averaged<float> model;
  CHECK(test::error_of([&] { Ema<float>(model, {.decay = 1.5}); }) ==
        "Ema: decay is 1.5; it must be between 0 and 1");
}
