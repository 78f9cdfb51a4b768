// SPDX-License-Identifier: MIT
#include "gram/ops/shape.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;
using test::identical;

namespace {

template <class T>
Tensor<T> naive_permute(const Tensor<T>& x, const std::vector<int>& order) {
  Shape shape;
  for (const int axis : order) shape.append(x.dim(axis));
  return generate<T>(shape, [&](Index i) {
    Index offset = 0;
    for (int k = x.rank() - 1; k >= 0; i /= shape[k--])
      offset += i % shape[k] * x.shape().product(order[static_cast<std::size_t>(k)] + 1, x.rank());
    return x.data()[offset];
  });
}

template <class T>
void permute_every_way(const Shape& shape) {
  const auto x = randn<T>(shape, 1);
  std::vector<int> order = {0, 1, 2, 3};
  do {
    CAPTURE(order[0] * 1000 + order[1] * 100 + order[2] * 10 + order[3]);
    const auto y = permute(x, {order[0], order[1], order[2], order[3]});
    CHECK(identical(y, naive_permute(x, order)));
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace

TEST_CASE("permute agrees with a plain loop for every order of four axes") {
  for (const Shape& shape :
       {Shape{2, 3, 4, 5}, Shape{1, 40, 1, 70}, Shape{33, 1, 65, 2}, Shape{2, 0, 3, 1}}) {
    permute_every_way<float>(shape);
    permute_every_way<bf16>(shape);
  }
  permute_every_way<double>({3, 34, 2, 33});
}

TEST_CASE("permute takes negative axes and any rank") {
  const auto x = randn<float>({2, 3, 4, 1, 5, 2}, 1);
  CHECK(identical(permute(x, {5, 3, 0, -4, 1, -2}), naive_permute(x, {5, 3, 0, 2, 1, 4})));
  CHECK(permute(Tensor<float>({}, {3.F}), {}).item() == 3);
  CHECK(identical(transpose(x, 0, -1), naive_permute(x, {5, 1, 2, 3, 4, 0})));
}

TEST_CASE("gradients of permute and transpose agree with central differences") {
  const auto x = randn<double>({2, 3, 1, 4}, 1);
  CHECK(gradcheck([](const auto& t) { return permute(t, {3, 0, 2, 1}); }, x) < 1e-6);
  CHECK(gradcheck([](const auto& t) { return permute(t, {1, 0, 2, 3}); }, x) < 1e-6);
  CHECK(gradcheck(
            [](const auto& t) {
              return std::vector{transpose(t, 0, 3), transpose(t, 1, 3)};
            },
            x) < 1e-6);
  CHECK(gradcheck([](const auto& t) { return transpose(t, 0, 1); }, randn<double>({40, 35}, 2)) < 1e-6);
}

TEST_CASE("concat, slice and split move the right elements along any axis") {
  const auto a = randn<float>({2, 3, 4}, 1), b = randn<float>({2, 5, 4}, 2), c = randn<float>({2, 0, 4}, 3);
  const auto y = concat<float>({a, b, c}, 1);
  CHECK(y.shape() == Shape{2, 8, 4});
  CHECK(y.at({1, 2, 3}) == a.at({1, 2, 3}));
  CHECK(y.at({1, 3, 0}) == b.at({1, 0, 0}));
  CHECK(identical(slice(y, 1, 0, 3), a));
  CHECK(identical(slice(y, -2, 3, 8), b));
  const auto parts = split(y, {3, 5, 0}, 1);
  CHECK(identical(parts[0], a));
  CHECK(identical(parts[1], b));
  CHECK(parts[2].shape() == c.shape());
  CHECK(identical(concat<float>({slice(a, 0, 0, 1), slice(a, 0, 1, 2)}, 0), a));
  CHECK(identical(concat<float>({slice(a, 2, 0, 1), slice(a, 2, 1, 4)}, 2), a));
  const auto wide = randn<float>({3, 200000}, 4);
  CHECK(identical(concat<float>({slice(wide, 1, 0, 77), slice(wide, 1, 77, 200000)}, 1), wide));
}

TEST_CASE("a slice of the first axis shares memory") {
  const auto x = randn<float>({4, 3}, 1);
  CHECK(slice(x, 0, 1, 3).data() == x.data() + 3);
  CHECK(slice(x.alias({1, 4, 3}), 1, 1, 3).data() == x.data() + 3);
}

TEST_CASE("gradients of concat, slice and split agree with central differences") {
  const auto a = randn<double>({2, 3, 4}, 1), b = randn<double>({2, 1, 4}, 2);
  CHECK(gradcheck([](const auto& s, const auto& t) { return concat<double>({s, t, s}, 1); }, a, b) < 1e-6);
  for (const int axis : {0, 1, 2}) {
    CHECK(gradcheck([=](const auto& t) { return concat<double>({t, t}, axis); }, a) < 1e-6);
    CHECK(gradcheck([=](const auto& t) { return slice(t, axis, 1, 2); }, a) < 1e-6);
    CHECK(gradcheck(
              [=](const auto& t) {
                return std::vector{slice(t, axis, 0, 1), slice(t, axis, 0, 2)};
              },
              a) < 1e-6);
    CHECK(gradcheck([=](const auto& t) { return split(t, {1, t.dim(axis) - 1}, axis); }, a) < 1e-6);
  }
}

TEST_CASE("channel_shuffle in both orders") {
  const auto x = arange<float>(6).alias({1, 1, 6});
  CHECK(close(channel_shuffle(x, 2, ShuffleOrder::shufflenet), {0.F, 3.F, 1.F, 4.F, 2.F, 5.F}, 0));
  CHECK(close(channel_shuffle(x, 2, ShuffleOrder::gram_head), {0.F, 2.F, 4.F, 1.F, 3.F, 5.F}, 0));
  CHECK(identical(channel_shuffle(x, 1, ShuffleOrder::shufflenet), x));
  const auto many = randn<float>({3, 5, 12}, 1);
  CHECK(identical(
      channel_shuffle(channel_shuffle(many, 4, ShuffleOrder::gram_head), 4, ShuffleOrder::shufflenet), many));
  const auto d = randn<double>({2, 3, 12}, 1);
  CHECK(gradcheck([](const auto& t) { return channel_shuffle(t, 4, ShuffleOrder::gram_head); }, d) < 1e-6);
  CHECK(gradcheck([](const auto& t) { return channel_shuffle(t, 4, ShuffleOrder::shufflenet); }, d) < 1e-6);
}

TEST_CASE("moving elements does not depend on the number of threads") {
  const auto x = randn<float>({40, 90, 70}, 1);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{transpose(x, 0, 2), slice(x, 1, 3, 80), concat<float>({x, x}, 2),
                       test::gradient_of([](const auto& t) { return transpose(t, 1, 2); }, x)};
  }));
}

TEST_CASE("wrong axes and shapes are named") {
  const Tensor<float> x(Shape{2, 3}), wide(Shape{2, 4});
  CHECK(error_of([&] {
          permute(x, {0, 0});
        }) == "permute: x has shape (2, 3), but the order does not name each of its axes once");
  CHECK(error_of([&] { permute(x, {0}); }) ==
        "permute: x has shape (2, 3), but the order does not name each of its axes once");
  CHECK(error_of([&] { transpose(x, 0, 2); }) == "transpose: x has shape (2, 3), but no axis 2");
  CHECK(error_of([&] { concat<float>({}, 0); }) == "concat: no tensors; at least one is needed");
  CHECK(error_of([&] {
          concat<float>({x, wide}, 0);
        }) == "concat: parts[1] has shape (2, 4), but parts[0] has (2, 3); they may differ in axis 0 only");
  CHECK(error_of([&] { slice(x, 1, 2, 4); }) ==
        "slice: x has shape (2, 3), but positions 2 to 4 of axis 1 are asked for");
  CHECK(error_of([&] {
          split(x, {1, 1}, 1);
        }) == "split: x has shape (2, 3), but the sizes add up to 2 along axis 1");
  CHECK(error_of([&] { channel_shuffle(x, 2, ShuffleOrder::gram_head); }) ==
        "channel_shuffle: x has shape (2, 3), but 2 groups must divide its last axis");
}
