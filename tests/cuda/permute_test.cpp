// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

TEST_CASE_TEMPLATE("axes are put in another order as on the CPU", T, float, double, bf16) {
  const std::pair<Shape, std::vector<int>> cases[] = {{{5, 7}, {1, 0}},
                                                      {{33, 70}, {1, 0}},
                                                      {{1, 7}, {1, 0}},
                                                      {{0, 7}, {1, 0}},
                                                      {{2, 3, 4}, {2, 0, 1}},
                                                      {{2, 17, 3, 32}, {0, 2, 1, 3}},
                                                      {{2, 17, 3, 5}, {2, 0, 1, 3}},
                                                      {{3, 40, 20}, {0, 2, 1}},
                                                      {{3, 40, 2, 20}, {2, 3, 0, 1}},
                                                      {{3, 33, 6}, {0, 2, 1}},
                                                      {{2, 3, 4, 5}, {0, 1, 2, 3}},
                                                      {{2, 3, 2, 3, 2, 3}, {5, 3, 1, 0, 2, 4}}};
  for (const auto& [shape, order] : cases) {
    const std::string which = text(to_text(shape));
    INFO(which);
    detail::AxisOrder axes{};
    std::copy(order.begin(), order.end(), axes.begin());
    const auto once = [&](const auto& x) { return detail::permuted("permute", x[0], axes); };
    CHECK(test::device_distance<T>(once, test::random_inputs<T>({shape})) == 0);
    const auto added = [&](const auto& x) { return once(x) + exp(once(x)); };
    CHECK(test::device_distance<T>(added, test::random_inputs<T>({shape})) <= 2 * test::device_tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("pieces are put together and taken apart as on the CPU", T, float, double, bf16) {
  for (const int axis : {0, 1, 2}) {
    const auto f = [&](const std::vector<Tensor<T>>& x) {
      return slice(concat<T>({x[0], slice(x[1], axis, 1, 4), x[0]}, axis), axis, 2, 11);
    };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({{4, 4, 4}, {4, 4, 4}})) <=
          test::device_tolerance<T>);
  }
  const auto wide = [](const std::vector<Tensor<T>>& x) { return concat<T>({x[0], x[1], x[0]}, 1); };
  CHECK(test::device_distance<T>(wide, test::random_inputs<T>({{20, 64}, {20, 16}})) <=
        test::device_tolerance<T>);
}

TEST_CASE_TEMPLATE("channels are shuffled as on the CPU", T, float, double, bf16) {
  for (const ShuffleOrder order : {ShuffleOrder::shufflenet, ShuffleOrder::gram_head}) {
    const auto f = [&](const auto& x) { return channel_shuffle(x[0], 6, order); };
    CHECK(test::device_distance<T>(f, test::random_inputs<T>({{3, 5, 36}})) == 0);
  }
}

TEST_CASE_TEMPLATE("windows are cut and joined as on the CPU", T, float, double, bf16) {
  const auto all = [](const auto& x) { return cut_windows(x[0], {2, 3}); };
  CHECK(test::device_distance<T>(all, test::random_inputs<T>({{2, 4, 6, 8}})) == 0);
  CHECK(test::device_distance<T>(all, test::random_inputs<T>({{1, 2, 6, 5}})) == 0);
  CHECK(test::device_distance<T>(all, test::random_inputs<T>({{0, 2, 6, 5}})) == 0);
  const auto some = [](const auto& x) {
    return cut_windows(x[0], {4, 2}, {.parts = 3, .begin = 1, .width = 8}) +
           cut_windows(x[0], {4, 2}, {.parts = 3, .begin = 0, .width = 8});
  };
  CHECK(test::device_distance<T>(some, test::random_inputs<T>({{2, 4, 6, 30}})) <= test::device_tolerance<T>);
  const auto joined = [](const std::vector<Tensor<T>>& x) {
    return join_windows<T>({cut_windows(x[0], {1, 2}), cut_windows(x[1], {4, 3})}, {{1, 2}, {4, 3}}, {4, 6});
  };
  CHECK(test::device_distance<T>(joined, test::random_inputs<T>({{3, 4, 6, 8}, {3, 4, 6, 3}})) == 0);
}

}  // namespace
