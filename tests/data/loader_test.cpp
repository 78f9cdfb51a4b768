// SPDX-License-Identifier: MIT
#include "gram/data/loader.hpp"

#include <set>

#include "gram/data/textures.hpp"
#include "support.hpp"

using namespace gram;
using test::error_of;

namespace {

/// Image i is filled with i; label i mod 7.
Dataset numbered(Index count, Index height = 4, Index width = 3) {
  Dataset data{
      "numbered", Tensor<std::uint8_t>({count, height, width, 3}), Tensor<std::int64_t>({count}), 7, {}};
  for (Index i = 0; i < count; ++i) {
    data.labels.data()[i] = i % 7;
    for (auto& value : data.images.alias_rows(i, i + 1).span()) value = static_cast<std::uint8_t>(i);
  }
  return data;
}

/// The images of a batch, in the order they came.
template <Scalar T>
std::vector<Index> images_of(const Batch<T>& batch) {
  std::vector<Index> found;
  const Index values = batch.images.shape().product(1, 4);
  for (Index i = 0; i < batch.size(); ++i)
    found.push_back(
        static_cast<Index>(std::lround(static_cast<double>(batch.images.data()[i * values]) * 255)));
  return found;
}
std::vector<Index> order(const LoaderOptions& options, Index count, Index epoch) {
  Loader<float> loader(numbered(count), options);
  std::vector<Index> all;
  for (const auto& batch : loader.epoch(epoch))
    for (const Index i : images_of(batch)) all.push_back(i);
  return all;
}

/// Everything an epoch delivers.
struct Delivered {
  std::vector<Tensor<float>> images;
  std::vector<std::int64_t> labels;
};
Delivered deliver(const Dataset& data, LoaderOptions options, Index epoch) {
  Loader<float> loader(data, std::move(options));
  Delivered all;
  for (const auto& batch : loader.epoch(epoch)) {
    all.images.push_back(batch.images.clone());
    all.labels.insert(all.labels.end(), batch.labels.span().begin(), batch.labels.span().end());
  }
  return all;
}

}  // namespace

TEST_CASE("the loader delivers every image once, in order, with its label, and a last partial batch") {
  for (const int workers : {0, 1, 3}) {
    Loader<float> loader(numbered(23), {.batch = 5, .workers = workers});
    CHECK(loader.batches() == 5);
    CHECK(loader.size() == 23);
    Index next = 0, number = 0;
    for (const auto& batch : loader.epoch(0)) {
      CHECK(batch.number == number++);
      CHECK(batch.images.shape() == Shape{batch.size(), 4, 3, 3});
      CHECK(batch.size() == (batch.number == 4 ? 3 : 5));
      const auto images = images_of(batch);
      for (Index i = 0; i < batch.size(); ++i, ++next) {
        CHECK(images[static_cast<std::size_t>(i)] == next);
        CHECK(batch.labels.data()[i] == next % 7);
      }
    }
    CHECK(number == 5);
    CHECK(next == 23);
  }
}

TEST_CASE("drop_last leaves out the partial batch") {
  Loader<float> loader(numbered(23), {.batch = 5, .drop_last = true});
  CHECK(loader.batches() == 4);
  CHECK(loader.size() == 20);
  Index images = 0;
  for (const auto& batch : loader.epoch(0)) images += batch.size();
  CHECK(images == 20);
}

TEST_CASE("a last batch that is too small is made part of the one before it") {
  const auto sizes = [](Index count, const LoaderOptions& options) {
    Loader<float> loader(numbered(count), options);
    std::vector<Index> all;
    for (const auto& batch : loader.epoch(0)) all.push_back(batch.size());
    CHECK(static_cast<Index>(all.size()) == loader.batches());
    CHECK(loader.size() == count);
    return all;
  };
  CHECK(sizes(11, {.batch = 5}) == std::vector<Index>{5, 5, 1});
  CHECK(sizes(11, {.batch = 5, .smallest = 2}) == std::vector<Index>{5, 6});
  CHECK(sizes(12, {.batch = 5, .smallest = 2}) == std::vector<Index>{5, 5, 2});
  CHECK(sizes(1, {.batch = 5, .smallest = 2}) == std::vector<Index>{1});  // there is none before it
  CHECK(sizes(13, {.batch = 5, .shards = 2, .smallest = 2}) == std::vector<Index>{6});
  CHECK(sizes(14, {.batch = 5, .shards = 2, .smallest = 2}) == std::vector<Index>{5, 2});
  CHECK(order({.batch = 5, .smallest = 2}, 11, 0).size() == 11);
  CHECK(error_of([] { Loader<float>(numbered(9), {.batch = 5, .smallest = 0}); }) ==
        "Loader: smallest is 0; at least 1 is needed");
}

TEST_CASE("a data set smaller than a batch is one batch") {
  CHECK(order({.batch = 100}, 3, 0) == std::vector<Index>{0, 1, 2});
  CHECK(order({.batch = 1, .workers = 2, .prefetch = 0}, 3, 0) == std::vector<Index>{0, 1, 2});
}

TEST_CASE("shuffling is a permutation that depends on seed and epoch only") {
  const auto first = order({.batch = 7, .shuffle = true, .seed = 1}, 100, 0);
  CHECK(std::set<Index>(first.begin(), first.end()).size() == 100);
  CHECK(first == order({.batch = 13, .shuffle = true, .seed = 1, .workers = 4, .prefetch = 0}, 100, 0));
  CHECK(first != order({.batch = 7, .shuffle = true, .seed = 1}, 100, 1));
  CHECK(first != order({.batch = 7, .shuffle = true, .seed = 2}, 100, 0));
  CHECK(!std::is_sorted(first.begin(), first.end()));
}

TEST_CASE("augmented batches are bit-identical for any number of workers, and change with the epoch") {
  const Dataset data = make_textures({.count = 50, .size = 16});
  LoaderOptions options{.batch = 8, .shuffle = true, .seed = 5, .workers = 0};
  options.transform = {.pad = 3, .flip = true, .normalize = channel_statistics(data.images)};
  options.augment = [](std::span<std::uint8_t> pixels, Rng& rng) {
    pixels[static_cast<std::size_t>(rng.below(static_cast<Index>(pixels.size())))] ^= 0x80U;
  };
  const Delivered expected = deliver(data, options, 2), other = deliver(data, options, 3);
  for (const int workers : {1, 2, 5}) {
    options.workers = workers;
    const Delivered found = deliver(data, options, 2);
    REQUIRE(found.images.size() == expected.images.size());
    CHECK(found.labels == expected.labels);
    for (std::size_t i = 0; i < found.images.size(); ++i)
      CHECK(test::identical(found.images[i], expected.images[i]));
  }
  CHECK(!test::identical(other.images[0], expected.images[0]));
  CHECK(data.images.size() == 50 * 16 * 16 * 3);
}

TEST_CASE("an epoch can be left early, begun again, and read with next()") {
  Loader<float> loader(numbered(100), {.batch = 4, .workers = 3, .prefetch = 5});
  for (int round = 0; round < 20; ++round)
    for (const auto& batch : loader.epoch(round))
      if (batch.number == round % 4) break;
  { loader.epoch(0); }
  auto epoch = loader.epoch(1);
  Index count = 0;
  while (const Batch<float>* batch = epoch.next()) count += batch->size();
  CHECK(count == 100);
  CHECK(epoch.next() == nullptr);
  CHECK(error_of([&] { loader.epoch(2); }) == "Loader::epoch: another epoch is still being read");
}

TEST_CASE("an exception of a worker reaches the consumer in place of its batch") {
  for (const int workers : {0, 1, 3}) {
    Loader<float> loader(
        numbered(40), {.batch = 4, .workers = workers, .augment = [](std::span<std::uint8_t> pixels, Rng&) {
                         require<ArgumentError>(pixels[0] != 17, "augment: bad image");
                       }});
    for (int round = 0; round < 3; ++round) {
      Index seen = 0;
      CHECK(error_of([&] {
              for (const auto& batch : loader.epoch(0)) seen += batch.size();
            }) == "augment: bad image");
      CHECK(seen == 16);
    }
    auto epoch = loader.epoch(0);
    for (int i = 0; i < 4; ++i) CHECK(epoch.next() != nullptr);
    CHECK(error_of([&] { epoch.next(); }) == "augment: bad image");
    if (workers) CHECK(epoch.next() == nullptr);
  }
}

TEST_CASE("the loader takes no memory after its constructor") {
  Loader<float> loader(numbered(64), {.batch = 8, .shuffle = true, .workers = 2});
  const auto before = memory_stats();
  for (int e = 0; e < 3; ++e)
    for (const auto& batch : loader.epoch(e)) CHECK(batch.size() == 8);
  CHECK(memory_stats().allocations == before.allocations);
  CHECK(memory_stats().in_use == before.in_use);
}

TEST_CASE("loader: bad options and data sets are refused") {
  const auto error = [](Dataset data, LoaderOptions options) {
    return error_of([&] { Loader<float>(std::move(data), std::move(options)); });
  };
  CHECK(error(numbered(3), {.batch = 0}) == "Loader: batch is 0; at least 1 is needed");
  CHECK(error(numbered(3), {.workers = -1}) == "Loader: workers is -1; at least 0 is needed");
  CHECK(error(numbered(3), {.prefetch = -1}) == "Loader: prefetch is -1; at least 0 is needed");
  CHECK(error(numbered(0), {}) == "Loader: data set 'numbered' has no images");
  CHECK(error(numbered(3), {.batch = 4, .drop_last = true}) ==
        "Loader: drop_last leaves no batch of 4 from 3 images");
  CHECK(error({}, {}) == "data set '': images have shape (), labels (); (N, H, W, C) and (N) are needed");
  Dataset wrong = numbered(3);
  wrong.labels.data()[1] = 7;
  CHECK(error(wrong, {}) == "data set 'numbered': label 7 of image 1 is not below 7");
  CHECK(error(numbered(3), {.transform = {.pad = -1}}) ==
        "Transform: pad of -1 pixels; 0 to 4096 are possible");
}

TEST_CASE("shards read, together, the batches of one loader, each image once") {
  for (const Index count : {12, 23, 26, 33})  // whole batches, and 11, 2 and 9 images of a last one
    for (const int shards : {1, 3, 4}) {
      CAPTURE(count);
      CAPTURE(shards);
      Loader<float> whole(numbered(count), {.batch = 4 * shards, .shuffle = true, .seed = 2});
      std::vector<std::vector<std::vector<Index>>> parts;
      for (int shard = 0; shard < shards; ++shard) {
        Loader<float> loader(
            numbered(count),
            {.batch = 4, .shard = shard, .shards = shards, .shuffle = true, .seed = 2, .workers = 2});
        CHECK(loader.size() == count);
        parts.emplace_back();
        for (const auto& batch : loader.epoch(5)) parts.back().push_back(images_of(batch));
        CHECK(static_cast<Index>(parts.back().size()) == loader.batches());
      }
      std::vector<Index> together, expected;
      for (std::size_t k = 0; k < parts[0].size(); ++k) {
        std::size_t least = parts[0][k].size(), most = least;
        for (const auto& shard : parts) {
          REQUIRE(shard.size() == parts[0].size());
          least = std::min(least, shard[k].size()), most = std::max(most, shard[k].size());
          together.insert(together.end(), shard[k].begin(), shard[k].end());
        }
        CHECK(least > 0);
        CHECK(most - least <= 1);
      }
      for (const auto& batch : whole.epoch(5))
        for (const Index i : images_of(batch)) expected.push_back(i);
      CHECK(together == expected);
    }
}

TEST_CASE("a batch knows its share of the whole one, also where a short last batch joins the one before") {
  std::vector<double> shares;
  Loader<float> loader(numbered(14), {.batch = 2, .shard = 2, .shards = 3});  // 6, then 6 and 2
  for (const auto& batch : loader.epoch(0)) {
    shares.push_back(batch.share());
    CHECK(batch.total == (batch.number == 0 ? 6 : 8));
    CHECK(batch.size() == (batch.number == 0 ? 2 : 3));
  }
  CHECK(shares == std::vector<double>{2.0 / 6, 3.0 / 8});
  Loader<float> dropped(numbered(14), {.batch = 2, .shard = 2, .shards = 3, .drop_last = true});
  Index images = 0;
  for (const auto& batch : dropped.epoch(0)) images += batch.total;
  CHECK(images == 12);
}

TEST_CASE("loader: a shard that is none and data sets that are too small for them are refused") {
  const auto error = [](LoaderOptions options) {
    return error_of([&] { Loader<float>(numbered(3), std::move(options)); });
  };
  CHECK(error({.shard = 2, .shards = 2}) == "Loader: there is no shard 2 of 2");
  CHECK(error({.shards = 0}) == "Loader: shards is 0; at least 1 is needed");
  CHECK(error({.shard = -1, .shards = 2}) == "Loader: shard is -1; at least 0 is needed");
  CHECK(error({.shards = 4}) == "Loader: 3 images for 4 shards; each needs one");
}
