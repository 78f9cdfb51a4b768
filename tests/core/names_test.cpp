// SPDX-License-Identifier: MIT
#include "gram/core/names.hpp"

#include <doctest/doctest.h>

using namespace gram;

TEST_CASE("the edit distance counts insertions, deletions, substitutions and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("textuers", "textures") == 1);
}

TEST_CASE("the nearest name is suggested only when it may have been meant") {
  const std::vector<std::string> names = {"ga_resnet50", "ga_resnet29", "ga_vit_s", "vit"};
  CHECK(nearest_name("ga_resnet5", names) == "ga_resnet50");
  CHECK(nearest_name("garesnet29", names) == "ga_resnet29");
  CHECK(nearest_name("vti", names) == "vit");
  CHECK(nearest_name("mobilenet", names) == "");
  CHECK(nearest_name("", names) == "");
  CHECK(nearest_name("x", {}) == "");
  CHECK(nearest_name(std::string(100000, 'x'), names) == "");
}

TEST_CASE("an unknown name is answered with the nearest and all known ones") {
  const std::vector<std::string> names = {"textures", "cifar10"};
  CHECK(unknown_name("open_dataset", "data set", "texture", names) ==
        "open_dataset: unknown data set 'texture'; did you mean 'textures'? Known: textures, cifar10");
  CHECK(unknown_name("open_dataset", "data set", "coco", names) ==
        "open_dataset: unknown data set 'coco'; known: textures, cifar10");
}

TEST_CASE("words from outside are safe to print") {
  CHECK(printable("layer.0") == "'layer.0'");
  CHECK(printable("a\x1b[2J\n'\xff\\") == "'a\\x1b[2J\\x0a\\x27\\xff\\x5c'");
  CHECK(printable(std::string(300, 'a')) == "'" + std::string(200, 'a') + "..'");
}
