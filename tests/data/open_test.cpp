// SPDX-License-Identifier: MIT
#include "gram/data/open.hpp"

#include "golden.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("data sets open by name, and the nearest name is suggested") {
  const Dataset train = open_dataset("textures", "", Split::train, {.count = 40, .size = 8});
  const Dataset test = open_dataset("textures", "", Split::test, {.count = 40, .size = 8});
  CHECK(train.size() == 40);
  CHECK(test.size() == 10);
  CHECK(!test::identical(train.images.alias_rows(0, 10), test.images));
  CHECK(open_dataset("textures", "", Split::test, {.count = 40, .size = 8}, 30).size() == 30);
  CHECK(subset(train, 10, 20).labels.at({3}) == 3);
  CHECK(error_of([] { open_dataset("cifar", "", Split::train); }) ==
        "open_dataset: unknown data set 'cifar'; did you mean 'cifar10'? Known: textures, cifar10, cifar100, "
        "mnist, "
        "fashion_mnist");
  CHECK(error_of([] { open_dataset("mnist", "", Split::test); }) ==
        "open_dataset: mnist needs the folder with its files");
}

TEST_CASE("the real Fashion-MNIST images are read") {
  if (!test::have_shared("data/fashion_mnist")) return;
  const Dataset data =
      open_dataset("fashion_mnist", (test::shared_folder() / "data/fashion_mnist").string(), Split::test);
  CHECK(data.images.shape() == Shape{10000, 32, 32, 3});
  CHECK(data.class_names.size() == 10);
  Index of_class[10] = {};
  for (const std::int64_t label : data.labels.span()) ++of_class[label];
  for (const Index n : of_class) CHECK(n == 1000);
}
