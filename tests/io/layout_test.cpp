// SPDX-License-Identifier: MIT
#include "gram/io/layout.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("channels last is the other order of the same elements, there and back") {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 1, 7, 1}, Shape{3, 17, 1, 2}, Shape{0, 3, 2, 2}}) {
    const auto x = randn<double>(shape, 1);
    const auto y = channels_last(x);
    REQUIRE(y.shape() == Shape{shape[0], shape[2], shape[3], shape[1]});
    bool same = true;
    for (Index n = 0; n < shape[0]; ++n)
      for (Index c = 0; c < shape[1]; ++c)
        for (Index h = 0; h < shape[2]; ++h)
          for (Index w = 0; w < shape[3]; ++w) same = same && y.at({n, h, w, c}) == x.at({n, c, h, w});
    CHECK(same);
    CHECK(test::identical(channels_first(y), x));
  }
}

TEST_CASE("values have the shapes of files and come back for every layout") {
  const auto check = [](Layout layout, const Shape& memory, const Shape& file) {
    const auto x = randn<float>(memory, 1);
    const auto stored = to_file_layout(x, layout);
    CHECK(file_shape(memory, layout) == file);
    CHECK(stored.shape() == file);
    CHECK(test::identical(from_file_layout(stored, memory, layout), x));
  };
  check(Layout::plain, {}, {});
  check(Layout::plain, {4, 3}, {4, 3});
  check(Layout::pointwise, {6, 4}, {6, 4, 1, 1});
  check(Layout::conv, {4, 3, 2, 5}, {4, 5, 3, 2});
}

TEST_CASE("layouts refuse what is no map") {
  CHECK(test::error_of([] {
          channels_last(zeros<float>({2, 3, 4}));
        }) == "channels_last: shape (2, 3, 4); (N, C, H, W) is needed");
  CHECK(test::error_of([] { channels_first(zeros<float>({2})); }) ==
        "channels_first: shape (2); (N, H, W, C) is needed");
}
