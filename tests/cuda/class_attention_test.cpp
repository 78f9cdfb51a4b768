// SPDX-License-Identifier: MIT
#include "both_devices.hpp"
#include "gram/ops/class_attention_textbook.hpp"

using namespace gram;
namespace {

struct ClassAttentionCase {
  Index images, tokens, channels, width, heads, classifiers;
  bool bias;
};
const ClassAttentionCase class_attention_cases[] = {{1, 1, 1, 1, 1, 1, false},   {2, 5, 6, 8, 8, 3, false},
                                                    {3, 17, 20, 42, 2, 2, true}, {1, 0, 3, 4, 2, 2, true},
                                                    {0, 2, 4, 4, 2, 1, true},    {5, 3, 37, 10, 2, 1, true},
                                                    {9, 40, 70, 12, 3, 2, true}, {2, 12, 32, 16, 2, 2, true}};

/// Tokens, then for each classifier: query, norm weight and bias, weights of q, k, v and proj, their biases.
template <class T>
std::vector<Tensor<T>> class_attention_inputs(const ClassAttentionCase& c) {
  std::uint64_t seed = 1;
  const auto make = [&](const Shape& shape, double scale) {
    return converted<T>(randn<float>(shape, seed++) * static_cast<float>(scale));
  };
  const double of_c = 1 / std::sqrt(double(c.channels)), of_e = 1 / std::sqrt(double(c.width));
  std::vector<Tensor<T>> x{make({c.images, c.tokens, c.channels}, 1)};
  for (Index m = 0; m < c.classifiers; ++m) {
    x.push_back(make({c.images, c.channels}, 1));
    for (int i = 0; i < 2; ++i) x.push_back(make({c.channels}, 1));
    for (int i = 0; i < 3; ++i) x.push_back(make({c.width, c.channels}, of_c));
    x.push_back(make({c.channels, c.width}, of_e));
    if (!c.bias) continue;
    for (int i = 0; i < 3; ++i) x.push_back(make({c.width}, 1));
    x.push_back(make({c.channels}, 1));
  }
  return x;
}

template <class T>
auto class_attention_of(const ClassAttentionCase& c, bool textbook = false) {
  return [c, textbook](const std::vector<Tensor<T>>& x) {
    const ClassAttentionOptions options{.heads = c.heads, .epsilon = 1e-3};
    std::vector<Tensor<T>> queries, step_by_step;
    std::vector<ClassAttentionWeights<T>> weights;
    for (auto at = x.begin() + 1; at != x.end(); at += c.bias ? 11 : 7) {
      queries.push_back(at[0]);
      ClassAttentionWeights<T> w;
      w.q_weight = at[3], w.k_weight = at[4], w.v_weight = at[5], w.proj_weight = at[6];
      w.norm_weight = cast<accum_t<T>>(at[1]), w.norm_bias = cast<accum_t<T>>(at[2]);
      if (c.bias) w.q_bias = at[7], w.k_bias = at[8], w.v_bias = at[9], w.proj_bias = at[10];
      weights.push_back(w);
      if (textbook)
        step_by_step.push_back(
            reshape(class_attention_textbook(x[0], at[0], w, options), {1, c.images, c.channels}));
    }
    return textbook ? concat(step_by_step, 0) : class_attention(x[0], queries, weights, options);
  };
}

template <class F>
void with_and_without_cublaslt(const F& f) {
  const cuda::GemmSettings before = cuda::gemm_settings;
  for (const bool library : {false, true}) {
    CAPTURE(library);
    cuda::gemm_settings.cublaslt_from = library ? 0 : Index{1} << 60;
    f();
  }
  cuda::gemm_settings = before;
}

TEST_CASE_TEMPLATE("class attention and its gradients are those of the CPU", T, float, double) {
  with_and_without_cublaslt([] {
    for (const ClassAttentionCase& c : class_attention_cases) {
      CAPTURE(c.channels);
      CHECK(test::device_distance<T>(class_attention_of<T>(c), class_attention_inputs<T>(c)) <=
            test::device_tolerance<T>);
    }
  });
}

// Rounding to bf16 between products adds up; it must not come to more than between the textbook's steps.
TEST_CASE("class attention of bf16 is as near to the CPU's, which is made of floats, as the textbook's") {
  with_and_without_cublaslt([] {
    for (const ClassAttentionCase& c : class_attention_cases) {
      CAPTURE(c.channels);
      const auto inputs = class_attention_inputs<bf16>(c);
      const auto distance = [&](bool textbook) {
        const auto exact = test::results_on<bf16>(Device::cpu(), class_attention_of<bf16>(c), inputs),
                   found =
                       test::results_on<bf16>(Device::cuda(), class_attention_of<bf16>(c, textbook), inputs);
        double largest = 0;
        for (std::size_t i = 0; i < exact.size(); ++i)
          if (exact[i].defined()) largest = std::max(largest, test::distance(found[i], exact[i]));
        return largest;
      };
      CHECK(distance(false) <= std::max(test::device_tolerance<bf16>, distance(true)));
    }
  });
}

TEST_CASE("gradients of parameters that classifiers share are added") {
  const ClassAttentionCase c{2, 3, 6, 4, 2, 3, true};
  auto x = class_attention_inputs<double>(c);
  x.resize(12);
  const auto shared = [&](const std::vector<Tensor<double>>& one) {
    std::vector<Tensor<double>> all = one;
    for (Index m = 1; m < c.classifiers; ++m) all.insert(all.end(), one.begin() + 1, one.end());
    return class_attention_of<double>(c)(all);
  };
  CHECK(test::device_distance<double>(shared, x) <= test::device_tolerance<double>);
}

TEST_CASE("more classifiers than a table of pointers holds") {
  const ClassAttentionCase c{1, 2, 3, 2, 1, 67, false};
  CHECK(test::device_distance<double>(class_attention_of<double>(c), class_attention_inputs<double>(c)) <=
        test::device_tolerance<double>);
}

}  // namespace
