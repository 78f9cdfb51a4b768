// SPDX-License-Identifier: MIT
#include "gram/data/textures.hpp"

#include <set>

#include "gram/data/transform.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("textures depend on seed and index only") {
  const Dataset few = make_textures({.count = 20}), many = make_textures({.count = 40});
  CHECK(few.images.shape() == Shape{20, 32, 32, 3});
  CHECK(test::identical(few.images, many.images.alias_rows(0, 20)));
  CHECK(!test::identical(few.images, make_textures({.count = 20, .seed = 1}).images));
  const int before = threads();
  set_threads(1);
  const Dataset again = make_textures({.count = 20});
  set_threads(2);
  CHECK(test::identical(again.images, make_textures({.count = 20}).images));
  set_threads(before);
}

TEST_CASE("texture classes are balanced, named and different") {
  const Dataset data = make_textures({.classes = 60, .count = 120, .size = 16});
  check_dataset(data);
  for (Index i = 0; i < data.size(); ++i) CHECK(data.labels.data()[i] == i % 60);
  CHECK(std::set<std::string>(data.class_names.begin(), data.class_names.end()).size() == 60);
  CHECK(data.class_name(0) == "stripes under checker");
  CHECK(data.class_name(1) == "checker under stripes");
}

TEST_CASE("the mean colour of a texture does not give its class away") {
  const Index classes = 10, per_class = 60;
  const Dataset data = make_textures({.classes = classes, .count = classes * per_class});
  double lowest = 1, highest = 0;
  for (Index label = 0; label < classes; ++label) {
    double sum = 0;
    for (Index i = label; i < data.size(); i += classes)
      sum += channel_statistics(data.images.alias_rows(i, i + 1)).mean[0];
    lowest = std::min(lowest, sum / per_class), highest = std::max(highest, sum / per_class);
  }
  CHECK(highest - lowest < 0.06);  // the mean colour of single images is spread over 0.3
}

TEST_CASE("a texture of another size shows the same scene") {
  const Dataset coarse = make_textures({.count = 4, .size = 32, .noise = 0}),
                fine = make_textures({.count = 4, .size = 96, .noise = 0});
  for (Index i = 0; i < 4; ++i)
    for (Index y = 0; y < 32; ++y)
      for (Index x = 0; x < 32; ++x)  // pixel centres coincide at three times the size
        CHECK(coarse.images.at({i, y, x, 1}) == fine.images.at({i, 3 * y + 1, 3 * x + 1, 1}));
}

TEST_CASE("textures: options out of range are refused") {
  CHECK(error_of([] { make_textures({.classes = 1}); }) == "make_textures: 1 classes; 2 to 60 are possible");
  CHECK(error_of([] { make_textures({.classes = 61}); }) ==
        "make_textures: 61 classes; 2 to 60 are possible");
  CHECK(error_of([] { make_textures({.count = 0}); }) == "make_textures: 0 images; at least one is needed");
  CHECK(error_of([] { make_textures({.size = 4}); }) ==
        "make_textures: images of 4 pixels; 8 to 4096 are possible");
  CHECK(error_of([] { make_textures({.noise = -1}); }) == "make_textures: noise of -1; 0 to 1 is possible");
}
