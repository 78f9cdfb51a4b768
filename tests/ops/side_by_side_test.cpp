// SPDX-License-Identifier: MIT
#include "gram/ops/side_by_side.hpp"

#include <vector>

#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// Maps of one batch, and the size they are brought to.
struct MapSet {
  std::vector<Shape> shapes;
  Pair size;
};

// Larger, equal, smaller, one axis of each kind, one map, odd channels, no image.
const std::vector<MapSet> map_sets{{{{2, 8, 8, 16}, {2, 4, 4, 32}, {2, 2, 2, 64}}, 4},
                                   {{{1, 5, 7, 3}, {1, 3, 2, 17}, {1, 1, 4, 1}}, {3, 2}},
                                   {{{3, 4, 4, 5}}, 4},
                                   {{{2, 9, 3, 70}, {2, 3, 9, 65}}, {4, 5}},
                                   {{{0, 4, 4, 2}, {0, 2, 2, 3}}, 2}};

Shape shape_of(const MapSet& set) {
  Index channels = 0;
  for (const Shape& s : set.shapes) channels += s[3];
  return {set.shapes[0][0], set.size.h, set.size.w, channels};
}
template <Scalar T>
Tensor<T> put_together(const MapSet& set, const std::vector<Tensor<T>>& maps) {
  SideBySide<T> all(shape_of(set));
  for (const Tensor<T>& map : maps) all.add(map);
  return all.result();
}
template <Scalar T>
Tensor<T> concatenated(const MapSet& set, const std::vector<Tensor<T>>& maps) {
  std::vector<Tensor<T>> parts;
  for (const Tensor<T>& map : maps)
    parts.push_back(map.dim(1) >= set.size.h && map.dim(2) >= set.size.w ? adaptive_avg_pool2d(map, set.size)
                                                                         : resize(map, set.size));
  return concat(parts, 3);
}
/// The result, and the gradients of the maps.
template <Scalar T, class F>
std::vector<Tensor<T>> results_of(const MapSet& set, F&& join) {
  std::vector<Tensor<T>> maps;
  for (std::size_t i = 0; i < set.shapes.size(); ++i) {
    maps.push_back(randn<T>(set.shapes[i], i + 1));
    maps.back().set_requires_grad();
  }
  const auto y = join(set, maps);
  backward(y, randn<T>(y.shape(), 9));
  std::vector<Tensor<T>> results{y.detach()};
  for (const Tensor<T>& map : maps) results.push_back(map.grad());
  return results;
}

template <Scalar T>
void check_as_concat() {
  for (const MapSet& set : map_sets) {
    CAPTURE(to_text(shape_of(set)));
    const auto run = [&] { return results_of<T>(set, put_together<T>); };
    const auto results = run(), expected = results_of<T>(set, concatenated<T>);
    REQUIRE(results.size() == expected.size());
    for (std::size_t i = 0; i < results.size(); ++i) CHECK(test::identical(results[i], expected[i]));
    CHECK(test::same_for_any_threads(run));
  }
}

}  // namespace

TEST_CASE("maps side by side have the bits of pools, resizes and concat, and so have their gradients") {
  test::for_each_isa([] {
    check_as_concat<float>();
    check_as_concat<double>();
    check_as_concat<bf16>();
  });
}

TEST_CASE("gradients of maps side by side agree with central differences") {
  const auto f = [](const auto& a, const auto& b, const auto& c) {
    SideBySide<double> all({2, 3, 2, 7});
    all.add(a), all.add(b), all.add(c);
    return all.result();
  };
  CHECK(gradcheck(f, randn<double>({2, 6, 5, 2}, 1), randn<double>({2, 3, 2, 1}, 2),
                  randn<double>({2, 2, 1, 4}, 3)) < 1e-6);
}

TEST_CASE("a map that is added between operations has the gradients of both ways") {
  Tensor<double> x = randn<double>({1, 4, 4, 3}, 1), w = randn<double>({3}, 2);
  const auto run = [&](bool between) {
    x.zero_grad(), w.zero_grad();
    x.set_requires_grad(), w.set_requires_grad();
    SideBySide<double> all({1, 2, 2, 6});
    const auto first = mul(x, w);
    if (between) all.add(first);
    const auto second = mul(first, w);
    if (!between) all.add(first);
    all.add(second);
    const auto y = all.result(), dy = randn<double>(y.shape(), 3);
    backward(y, dy, {.retain_graph = true});
    const std::vector<Tensor<double>> once{x.grad().clone(), w.grad().clone()};
    backward(y, dy);  // the same once more
    CHECK(test::close(x.grad(), mul(once[0], 2), 1e-14));
    CHECK(test::close(w.grad(), mul(once[1], 2), 1e-14));
    return once;
  };
  const auto between = run(true), after = run(false);
  for (std::size_t i = 0; i < 2; ++i) CHECK(test::close(between[i], after[i], 1e-14));
}

TEST_CASE("SideBySide says what does not fit") {
  CHECK(test::error_of([] {
          SideBySide<float>({2, 3, 4});
        }) == "SideBySide: the shape is (2, 3, 4), but (N, H, W, C) with at least one pixel is needed");
  SideBySide<float> all({2, 2, 2, 5});
  all.add(ones<float>({2, 4, 4, 3}));
  CHECK(test::error_of([&] {
          all.add(ones<float>({2, 4, 4, 3}));
        }) == "SideBySide: x has shape (2, 4, 4, 3), but it goes to channels from 3 of (2, 2, 2, 5)");
  CHECK(test::error_of([&] {
          all.add(ones<float>({1, 4, 4, 2}));
        }) == "SideBySide: x has shape (1, 4, 4, 2), but it goes to channels from 3 of (2, 2, 2, 5)");
  CHECK(test::error_of([&] { all.result(); }) == "SideBySide: 3 channels of (2, 2, 2, 5) are there");
}
