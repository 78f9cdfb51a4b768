// SPDX-License-Identifier: MIT
#include "gram/ops/conv2d_inference.hpp"

#include "gram/ops/activation.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

struct Case {
  Shape x, weight;
  Conv2dOptions options;
};
// 1x1, Winograd's form, strided, grouped, depthwise, few channels.
const std::vector<Case> cases{{{2, 5, 7, 24}, {40, 1, 1, 24}, {}},
                              {{4, 14, 14, 64}, {64, 3, 3, 64}, {.padding = 1}},
                              {{2, 9, 9, 16}, {33, 3, 3, 16}, {.stride = 2, .padding = 1}},
                              {{2, 6, 6, 32}, {32, 3, 3, 8}, {.padding = 1, .groups = 4}},
                              {{2, 6, 6, 20}, {20, 3, 3, 1}, {.padding = 1, .groups = 20}},
                              {{1, 11, 11, 3}, {17, 7, 7, 3}, {.stride = 2, .padding = 3}}};

template <class T>
constexpr double rounding = std::is_same_v<T, double> ? 1e-13 : 1e-5;

}  // namespace

TEST_CASE_TEMPLATE("scale, shift, residual and activation come with the convolution, in every call", T, float,
                   double) {
  for (const Case& c : cases) {
    CAPTURE(to_text(c.weight));
    const Index O = c.weight[0];
    const auto x = randn<T>(c.x, 1), weight = randn<T>(c.weight, RandomKey{2}) * T(0.1),
               bias = randn<T>({O}, 3), scale = randn<T>({O}, 4), shift = randn<T>({O}, 5);
    const auto plain = add(mul(conv2d(x, weight, bias, c.options), scale), shift);
    const auto residual = randn<T>(plain.shape(), 6);
    Conv2dInference<T> folded(weight, bias, c.options, scale, shift);
    test::for_each_isa([&] {
      for (int call = 0; call < 2; ++call) {  // the first prepares, the second has the kept weights
        CHECK(test::close(folded(x, {}, false), plain, rounding<T>));
        CHECK(test::close(folded(x, residual, true), relu(add(plain, residual)), rounding<T>));
      }
    });
    Conv2dInference<T> bare(weight, {}, c.options, {}, {});
    CHECK(test::close(bare(x, {}, true), relu(conv2d(x, weight, {}, c.options)), rounding<T>));
    if (c.weight[1] == 1) CHECK(test::close(folded(x, {}, false, true), gelu(plain), rounding<T>));
  }
}

TEST_CASE("the weights are those of the moment of folding") {
  const auto x = randn<float>({1, 4, 4, 16}, 1), weight = randn<float>({16, 3, 3, 16}, 2);
  Conv2dInference<float> folded(weight, {}, {.padding = 1}, {}, {});
  const auto before = folded(x, {}, false);
  weight.span()[0] += 1;
  CHECK(test::identical(folded(x, {}, false), before));
}

TEST_CASE("a residual of another shape is named") {
  Conv2dInference<float> folded(zeros<float>({4, 1, 1, 3}), {}, {}, {}, {});
  CHECK(test::error_of([&] {
          folded(zeros<float>({1, 2, 2, 3}), zeros<float>({1, 2, 2, 3}), false);
        }) ==
        "conv2d: residual has shape (1, 2, 2, 3), but the result has shape (1, 2, 2, 4); they must agree");
}

TEST_CASE_TEMPLATE("a GELU comes with a 1x1 convolution of any width, and with no other", T, float, double) {
  for (const Index channels : {1, 2, 16}) {
    const auto x = randn<T>({1, 3, 3, channels}, 1), weight = randn<T>({channels, 1, 1, channels}, 2);
    Conv2dInference<T> folded(weight, {}, {}, {}, {});
    for (int call = 0; call < 2; ++call)
      CHECK(test::close(folded(x, {}, false, true), gelu(conv2d(x, weight, {})), 1e-5));
  }
  Conv2dInference<T> wide(zeros<T>({1, 3, 3, 1}), {}, {.padding = 1}, {}, {});
  CHECK(test::error_of([&] {
          wide(zeros<T>({1, 3, 3, 1}), {}, false, true);
        }) == "conv2d: weight has shape (1, 3, 3, 1), but a GELU needs a 1x1 kernel");
}
