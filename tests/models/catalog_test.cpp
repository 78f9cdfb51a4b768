// SPDX-License-Identifier: MIT
#include "gram/models/catalog.hpp"

#include "support.hpp"

using namespace gram;
using models::CreateOptions;
using models::Entry;

TEST_CASE("what is not chosen is the entry's own") {
  const Entry entry{.name = "net", .classes = 100, .heads = 3, .size = 32};
  const models::Info plain = models::detail::chosen(entry, {});
  CHECK(plain.name == "net");
  CHECK(plain.classes == 100);
  CHECK(plain.heads == 3);
  CHECK(plain.size == Pair(32));
  const models::Info other =
      models::detail::chosen(entry, {.classes = 7, .heads = 2, .size = 64, .drop_path = 0.1});
  CHECK(other.classes == 7);
  CHECK(other.heads == 2);
  CHECK(other.size == Pair(64));
}

TEST_CASE("options a network does not have are refused by its name") {
  const auto error = [](const Entry& entry, const CreateOptions& options) {
    return test::error_of([&] { models::detail::chosen(entry, options); });
  };
  CHECK(error({.name = "net"}, {.dim = 8}) == "create: net has no option dim");
  CHECK(error({.name = "net"}, {.cardinality = 8}) == "create: net has no option cardinality");
  CHECK(error({.name = "net", .stochastic_depth = false}, {.drop_path = 0.1}) ==
        "create: net has no option drop_path");
  CHECK(error({.name = "net", .several_heads = false}, {.heads = 2}) == "create: net has one head, not 2");
  CHECK(error({.name = "net"}, {.size = -1}) ==
        "create: classes 0, heads 0, size -1; none may be negative (0: the network's default)");
}
