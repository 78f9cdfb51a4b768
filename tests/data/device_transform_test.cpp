// SPDX-License-Identifier: MIT
#include "gram/data/device_transform.hpp"

#include "gram/data/loader.hpp"
#include "gram/data/textures.hpp"
#include "support.hpp"

using namespace gram;

namespace {

const Tensor<std::int64_t> four_numbers({4}, {9, 2, 5, 2});

}  // namespace

TEST_CASE("a device transform changes images as a loader of the same seed does") {
  const Dataset data = make_textures({.count = 12, .size = 16});
  const TransformOptions changes{.pad = 3, .flip = true, .normalize = channel_statistics(data.images)};
  Loader<float> loader(data, {.batch = 12, .seed = 7, .workers = 0, .transform = changes});
  const DeviceTransform<float> transform({.transform = changes, .seed = 7}, 3);
  for (const Index epoch : {1, 2}) {
    auto batches = loader.epoch(epoch);
    CHECK(test::identical(transform(data.images, arange<std::int64_t>(12), epoch), batches.next()->images));
  }
}

TEST_CASE("images of a set are selected by their numbers") {
  const Dataset data = make_textures({.count = 12, .size = 16});
  const DeviceTransform<float> transform({.transform = {.pad = 2, .flip = true}, .erase = 0.5}, 3);
  const auto all = transform(data.images, arange<std::int64_t>(12), 4),
             some = transform.select(data.images, four_numbers, 4);
  for (Index i = 0; i < 4; ++i) {
    const Index number = four_numbers.data()[i];
    CHECK(test::identical(some.alias_rows(i, i + 1), all.alias_rows(number, number + 1)));
  }
}

TEST_CASE("random erasing clears rectangles of the areas and in the share of images it is asked for") {
  const Index n = 400, size = 40;
  const auto white = full<std::uint8_t>({n, size, size, 1}, 255);
  const DeviceTransform<float> transform({.erase = 0.25, .seed = 1}, 1);
  const auto y = transform(white, arange<std::int64_t>(n), 1);
  int erased = 0;
  double smallest = 1, largest = 0;
  for (Index i = 0; i < n; ++i) {
    Index area = 0, top = size, left = size, bottom = 0, right = 0;
    for (Index h = 0; h < size; ++h)
      for (Index w = 0; w < size; ++w)
        if (y.at({i, h, w, 0}) == 0) {
          ++area;
          top = std::min(top, h), left = std::min(left, w);
          bottom = std::max(bottom, h + 1), right = std::max(right, w + 1);
        }
    if (area == 0) continue;
    ++erased;
    CHECK(area == (bottom - top) * (right - left));
    const double share = static_cast<double>(area) / static_cast<double>(size * size);
    smallest = std::min(smallest, share), largest = std::max(largest, share);
  }
  CHECK(erased > 70);
  CHECK(erased < 130);
  CHECK(smallest > 0.015);
  CHECK(smallest < 0.05);
  CHECK(largest > 0.28);
  CHECK(largest < 0.35);
}

TEST_CASE("mixup adds the images of a pair, CutMix shows a part of the other one") {
  const auto images = generate<std::uint8_t>({3, 4, 4, 1}, [](Index i) { return 51 * (i / 16 + 1); });
  const DeviceTransform<double> transform({}, 1);
  const auto numbers = arange<std::int64_t>(3);
  const auto mixed = transform(images, numbers, 0, {.share = 0.75});
  CHECK(mixed.at({0, 1, 2, 0}) == doctest::Approx(0.75 * 0.2 + 0.25 * 0.6));
  CHECK(mixed.at({1, 1, 2, 0}) == doctest::Approx(0.4));
  CHECK(mixed.at({2, 1, 2, 0}) == doctest::Approx(0.75 * 0.6 + 0.25 * 0.2));
  const auto cut = transform(images, numbers, 0, {.share = 0.5, .box = {1, 0, 3, 4}});
  for (Index h = 0; h < 4; ++h) CHECK(cut.at({0, h, 3, 0}) == doctest::Approx(h == 1 || h == 2 ? 0.6 : 0.2));
}

TEST_CASE("a device transform says what does not fit") {
  CHECK(test::error_of([] { DeviceTransform<float>({.erase = 2}, 3); }) ==
        "DeviceTransform: erase is 2; it must lie in [0, 1]");
  const DeviceTransform<float> transform({}, 3);
  CHECK(test::error_of([&] {
          transform(zeros<std::uint8_t>({3, 2, 2, 3}), four_numbers, 0);
        }) ==
        "DeviceTransform: images have shape (3, 2, 2, 3), numbers (4); (N, H, W, C) and (N) are needed");
  CHECK(test::error_of([&] {
          transform(zeros<std::uint8_t>({4, 2, 2, 1}), four_numbers, 0);
        }) ==
        "DeviceTransform: images have shape (4, 2, 2, 1), numbers (4); (.., H, W, 3) and (N) are needed");
}
