// SPDX-License-Identifier: MIT
#include "gram/data/dataset.hpp"

#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("images are padded evenly and coloured") {
  const Tensor<std::uint8_t> x({1, 1, 2, 1}, {5, 6});
  const auto y = pad_to(x, {2, 4});
  CHECK(test::identical(y, Tensor<std::uint8_t>({1, 2, 4, 1}, {0, 5, 6, 0, 0, 0, 0, 0})));
  CHECK(test::identical(to_rgb(x), Tensor<std::uint8_t>({1, 1, 2, 3}, {5, 5, 5, 6, 6, 6})));
  CHECK(pad_to(Tensor<std::uint8_t>({0, 2, 2, 1}), 3).shape() == Shape{0, 3, 3, 1});
  CHECK(error_of([&] { pad_to(x, 1); }) ==
        "pad_to: images have shape (1, 1, 2, 1), which is larger than (1, 1)");
  CHECK(error_of([&] {
          to_rgb(Tensor<std::uint8_t>({1, 1, 1, 2}));
        }) == "to_rgb: images have shape (1, 1, 1, 2); (N, H, W, 1) or (N, H, W, 3) is needed");
}

TEST_CASE("a subset shares memory, and labels are checked") {
  Dataset data{
      "toy", zeros<std::uint8_t>({4, 1, 1, 3}), Tensor<std::int64_t>({4}, {0, 1, 2, 1}), 3, {"a", "b"}};
  check_dataset(data);
  const Dataset part = subset(data, 1, 3);
  CHECK(part.size() == 2);
  CHECK(part.labels.data() == data.labels.data() + 1);
  CHECK(part.images.shape() == Shape{2, 1, 1, 3});
  CHECK(data.class_name(1) == "b");
  CHECK(data.class_name(2) == "2");
  data.classes = 2;
  CHECK(error_of([&] { check_dataset(data); }) == "data set 'toy': label 2 of image 2 is not below 2");
  data.labels = zeros<std::int64_t>({3});
  CHECK(error_of([&] { check_dataset(data); }) ==
        "data set 'toy': images have shape (4, 1, 1, 3), labels (3); (N, H, W, C) and (N) are needed");
  CHECK(error_of([&] { subset(data, 0, 5); }) != "");
}
