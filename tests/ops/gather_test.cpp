// SPDX-License-Identifier: MIT
#include "gram/ops/gather.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;
using test::identical;
using Indices = Tensor<std::int64_t>;

namespace {

Indices random_indices(const Shape& shape, Index below, std::uint64_t seed) {
  return generate<std::int64_t>(shape, [=](Index i) {
    return static_cast<Index>(RandomKey{seed, 0}.uniform(static_cast<std::uint64_t>(i)) *
                              static_cast<double>(below));
  });
}

}  // namespace

TEST_CASE("gather reads the positions that the index names") {
  // python3 -c "import torch; print(torch.gather(torch.arange(6.).view(2,3), 1,
  // torch.tensor([[2,0],[1,1]])))"
  const auto x = arange<float>(6).alias({2, 3});
  CHECK(close(gather(x, 1, Indices({2, 2}, {2, 0, 1, 1})), {2.F, 0.F, 4.F, 4.F}, 0));
  CHECK(close(gather(x, 0, Indices({3, 3}, {1, 0, 1, 0, 0, 0, 1, 1, 1})),
              {3.F, 1.F, 5.F, 0.F, 1.F, 2.F, 3.F, 4.F, 5.F}, 0));
  CHECK(close(gather(x, -1, Indices({1, 1}, {2})), {2.F}, 0));
  CHECK(close(gather(x, 0, Indices({1, 2}, {1, 1})), {3.F, 4.F}, 0));

  const auto big = randn<double>({3, 7, 5}, 1);
  const auto index = random_indices({3, 11, 5}, 7, 2);
  const auto y = gather(big, 1, index);
  for (Index o = 0; o < 3; ++o)
    for (Index k = 0; k < 11; ++k)
      for (Index i = 0; i < 5; ++i) CHECK(y.at({o, k, i}) == big.at({o, index.at({o, k, i}), i}));
}

TEST_CASE("index_select reads the same positions everywhere") {
  const auto x = randn<float>({3, 7, 5}, 1);
  for (const int axis : {0, 1, 2}) {
    const auto index = random_indices({9}, x.dim(axis), 3);
    const auto y = index_select(x, axis, index);
    CHECK(y.shape() == x.shape().with(axis, 9));
    for (Index k = 0; k < 9; ++k)
      CHECK(identical(slice(y, axis, k, k + 1).clone(),
                      slice(x, axis, index.data()[k], index.data()[k] + 1).clone()));
  }
}

TEST_CASE("gradients of gather and index_select agree with central differences") {
  const auto x = randn<double>({3, 4, 5}, 1);
  for (const int axis : {0, 1, -1}) {
    const auto index = random_indices(x.shape().with(axis, 6), x.dim(axis), 2);
    const auto few = random_indices({2, 3, 2}, x.dim(axis), 3);
    const auto rows = random_indices({8}, x.dim(axis), 4);
    CHECK(gradcheck([&](const auto& t) { return gather(t, axis, index); }, x) < 1e-6);
    CHECK(gradcheck([&](const auto& t) { return gather(t, axis, few); }, x) < 1e-6);
    CHECK(gradcheck([&](const auto& t) { return index_select(t, axis, rows); }, x) < 1e-6);
    CHECK(gradcheck(
              [&](const auto& t) {
                return std::vector{index_select(t, axis, rows), gather(t, axis, index)};
              },
              x) < 1e-6);
  }
}

TEST_CASE("many equal indices are added in float for bf16") {
  Tensor<bf16> table = zeros<bf16>({2, 3});
  table.set_requires_grad();
  const auto y = index_select(table, 0, full<std::int64_t>({1000}, 1));
  backward(y, ones<bf16>(y.shape()));
  CHECK(static_cast<float>(table.grad().at({1, 2})) == 1000);
  CHECK(static_cast<float>(table.grad().at({0, 2})) == 0);
}

TEST_CASE("gather does not depend on the number of threads") {
  const auto x = randn<float>({3, 50, 200}, 1);
  const auto index = random_indices({3, 200, 200}, 50, 2), rows = random_indices({700}, 50, 3);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{gather(x, 1, index), index_select(x, 1, rows),
                       test::gradient_of([&](const auto& t) { return gather(t, 1, index); }, x),
                       test::gradient_of([&](const auto& t) { return index_select(t, 1, rows); }, x)};
  }));
}

TEST_CASE("an index outside is named with its position") {
  const Tensor<float> x(Shape{2, 3});
  CHECK(error_of([&] {
          gather(x, 1, Indices({2, 2}, {0, 1, 2, 3}));
        }) == "gather: index(1, 1) is 3, but axis 1 of x (2, 3) has positions 0 to 2");
  CHECK(error_of([&] {
          index_select(x, 0, Indices({3}, {0, 1, -1}));
        }) == "index_select: index(2) is -1, but axis 0 of x (2, 3) has positions 0 to 1");
  CHECK(error_of([&] {
          gather(x, 1, Indices({3, 1}, {0, 0, 0}));
        }) ==
        "gather: index has shape (3, 1), but x has (2, 3); as many axes are needed, with no larger extents "
        "except along "
        "axis 1");
  CHECK(error_of([&] {
          index_select(x, 0, Indices({1, 1}, {0}));
        }) == "index_select: index has shape (1, 1), but must have one axis");
  CHECK(index_select(x, 0, Indices(Shape{0})).shape() == Shape{0, 3});
}
