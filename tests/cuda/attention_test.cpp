// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

struct AttentionCase {
  Index images, heads, queries, keys, width, value_width;
};
const AttentionCase attention_cases[] = {{1, 1, 1, 1, 1, 1},    {2, 3, 5, 7, 4, 6},    {1, 2, 65, 64, 33, 1},
                                         {1, 1, 3, 130, 8, 70}, {2, 1, 70, 66, 70, 3}, {0, 2, 4, 5, 2, 2},
                                         {2, 2, 0, 3, 4, 4}};

template <class T>
std::vector<Tensor<T>> attention_inputs(const AttentionCase& c) {
  return test::random_inputs<T>({{c.images, c.queries, c.heads * c.width},
                                 {c.images, c.keys, c.heads * c.width},
                                 {c.images, c.keys, c.heads * c.value_width}});
}

TEST_CASE_TEMPLATE("attention and its gradients are those of the CPU", T, float, double, bf16) {
  for (const AttentionCase& c : attention_cases) {
    CAPTURE(c.queries);
    CAPTURE(c.keys);
    CAPTURE(c.width);
    const auto f = [&](const std::vector<Tensor<T>>& x) {
      return attention(x[0], x[1], x[2], {.heads = c.heads});
    };
    CHECK(test::device_distance<T>(f, attention_inputs<T>(c)) <= test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("packed queries, keys and values", T, float, double, bf16) {
  const auto f = [](const std::vector<Tensor<T>>& x) { return attention(x[0], {.heads = 3, .scale = 0.7}); };
  for (const Index tokens : {1, 50, 67})
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({{2, tokens, 3 * 3 * 5}})) <=
          test::device_tolerance<T>);
}

TEST_CASE("attention of bf16 at widths that cuDNN takes, with rows that fill no tile") {
  for (const AttentionCase& c :
       {AttentionCase{1, 2, 197, 197, 64, 64}, {2, 2, 50, 98, 32, 32}, {1, 2, 1, 65, 64, 64}}) {
    CAPTURE(c.queries);
    const auto f = [&](const std::vector<Tensor<bf16>>& x) {
      return attention(x[0], x[1], x[2], {.heads = c.heads});
    };
    CHECK(test::device_distance<bf16>(f, attention_inputs<bf16>(c)) <= test::device_tolerance<bf16>);
  }
  const auto packed = [](const std::vector<Tensor<bf16>>& x) { return attention(x[0], {.heads = 2}); };
  CHECK(test::device_distance<bf16>(packed, test::random_inputs<bf16>({{1, 197, 3 * 2 * 64}})) <=
        test::device_tolerance<bf16>);
}

TEST_CASE_TEMPLATE("gradients of queries, keys and values that are one tensor are added", T, float, double) {
  const auto f = [](const std::vector<Tensor<T>>& x) { return attention(x[0], x[0], x[0], {.heads = 2}); };
  CHECK(test::device_distance<T>(f, test::random_inputs<T>({{2, 9, 6}})) <= test::device_tolerance<T>);
}

TEST_CASE("only the gradients that are asked for") {
  auto x = attention_inputs<float>({1, 2, 5, 6, 4, 3});
  for (std::size_t wanted = 0; wanted < 3; ++wanted) {
    const auto f = [&](const std::vector<Tensor<float>>& y) {
      std::vector<Tensor<float>> inputs;
      for (const auto& input : x) inputs.push_back(input.to(y[0].device()));
      inputs[wanted] = y[0];
      return attention(inputs[0], inputs[1], inputs[2], {.heads = 2});
    };
    CHECK(test::device_distance<float>(f, {x[wanted]}) <= test::device_tolerance<float>);
  }
}

TEST_CASE_TEMPLATE("the attention map and its gradients are those of the CPU", T, float, double, bf16) {
  for (const AttentionCase& c : attention_cases) {
    CAPTURE(c.queries);
    CAPTURE(c.keys);
    const auto f = [&](const std::vector<Tensor<T>>& x) {
      return attention_map(x[0], x[1], {.heads = c.heads});
    };
    auto x = attention_inputs<T>(c);
    x.pop_back();
    CHECK(test::device_distance<T>(f, x) <= test::device_tolerance<T>);
  }
}

TEST_CASE("large scores neither overflow nor lose the small ones") {
  auto x = attention_inputs<float>({1, 1, 3, 70, 4, 5});
  for (Index i = 0; i < x[0].size(); ++i) x[0].data()[i] *= 100;
  const auto f = [](const std::vector<Tensor<float>>& y) { return attention(y[0], y[1], y[2]); };
  CHECK(test::device_distance<float>(f, x) <= 20 * test::device_tolerance<float>);
}

TEST_CASE("NaN of a query stays in its row") {
  auto x = attention_inputs<float>({1, 1, 3, 70, 4, 5});
  x[0].at({0, 1, 2}) = std::nanf("");
  const Device cuda = Device::cuda();
  const auto y = attention(x[0].to(cuda), x[1].to(cuda), x[2].to(cuda)).to(Device::cpu());
  for (Index i = 0; i < 3; ++i)
    for (Index c = 0; c < 5; ++c) CHECK(std::isnan(y.at({0, i, c})) == (i == 1));
}

}  // namespace
