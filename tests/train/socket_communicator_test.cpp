// SPDX-License-Identifier: MIT
#include "gram/train/socket_communicator.hpp"

#include <chrono>

#include "ranks.hpp"
#include "support.hpp"

using namespace gram;
using test::errors_on_ranks;
using test::on_ranks;

namespace {

/// What a rank brings to a sum: values of very different sizes, so that another order of addition shows.
template <Summable T>
std::vector<T> contribution(int rank, Index count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) {
    const double v = RandomKey{7, static_cast<std::uint64_t>(rank)}.normal(static_cast<std::uint64_t>(i)) *
                     std::pow(10, (i + 5 * rank) % 9);
    values[static_cast<std::size_t>(i)] = T(v);
  }
  return values;
}

template <Summable T>
void check_sums(int size, Index count) {
  CAPTURE(size);
  CAPTURE(count);
  using Sum = std::conditional_t<std::same_as<T, float>, double, accum_t<T>>;
  std::vector<T> expected;
  std::vector<Sum> sums(static_cast<std::size_t>(count), Sum(0));
  for (int rank = 0; rank < size; ++rank) {
    const std::vector<T> values = contribution<T>(rank, count);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<Sum>(values[i]);
  }
  for (const Sum s : sums) expected.push_back(static_cast<T>(s));
  std::vector<std::vector<T>> found(static_cast<std::size_t>(size));
  on_ranks(size, [&](Communicator& communicator) {
    std::vector<T> values = contribution<T>(communicator.rank(), count);
    communicator.all_reduce(values.data(), count);
    found[static_cast<std::size_t>(communicator.rank())] = values;
  });
  for (const std::vector<T>& values : found)
    CHECK(std::memcmp(values.data(), expected.data(), expected.size() * sizeof(T)) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("all_reduce adds in the order of the ranks, with the same bits on each", T, float, double,
                   bf16, std::int64_t) {
  for (const int size : {1, 2, 3, 5})
    for (const Index count : {1, 7, 2000, 10001}) check_sums<T>(size, count);
}

TEST_CASE("long sums take several rounds of slices, the last one short") { check_sums<double>(3, 150001); }

TEST_CASE("operations run in order, in the background, and a request can be waited for twice") {
  on_ranks(3, [](Communicator& communicator) {
    std::vector<double> a(50000, communicator.rank() + 1.0), b(3, 10.0 * communicator.rank());
    const Communicator::Request first = communicator.start_all_reduce(a.data(), 50000);
    const Communicator::Request second = communicator.start_all_reduce(b.data(), 3);
    second.wait();
    first.wait(), first.wait();
    require<Error>(a[0] == 6 && a[49999] == 6 && b[2] == 30, "wrong sums ", a[0], " ", b[2]);
    communicator.all_reduce(a.data(), 0);
    communicator.barrier();
  });
}

TEST_CASE("broadcast gives every rank the values of one") {
  on_ranks(3, [](Communicator& communicator) {
    for (const int root : {0, 2}) {
      std::vector<float> values(100001, static_cast<float>(communicator.rank()));
      communicator.broadcast(values.data(), 100001, root);
      require<Error>(values.front() == static_cast<float>(root) && values.back() == values.front(),
                     "wrong values");
    }
    float x = 0;
    require<Error>(test::error_of([&] { communicator.broadcast(&x, 1, 3); }) ==
                       "Communicator::broadcast: no rank 3 among 3",
                   "no error");
  });
}

TEST_CASE("a rank that leaves gives the others an error, at once and from then on") {
  const auto begin = std::chrono::steady_clock::now();
  const auto errors = errors_on_ranks(3, [](Communicator& communicator) {
    std::vector<float> values(100000);
    communicator.all_reduce(values.data(), 100000);
    if (communicator.rank() == 1) return;
    const std::string first = test::error_of([&] { communicator.all_reduce(values.data(), 100000); });
    const std::string second = test::error_of([&] { communicator.barrier(); });
    require<Error>(!first.empty() && first == second, "'", first, "' is not '", second, "'");
    throw Error(first);
  });
  CHECK(errors[1] == "");
  for (const std::size_t rank : {0U, 2U}) {
    CAPTURE(errors[rank]);
    CHECK(errors[rank].starts_with(text("all_reduce of 100000 values, operation 2: rank ", rank, ": rank ")));
    CHECK(errors[rank].ends_with(" has ended the connection"));
  }
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("ranks that call different operations are told so") {
  const auto told = [](auto&& f) {
    std::string all;
    for (const std::string& error : errors_on_ranks(2, f)) all += error + "\n";
    return all;
  };
  CHECK(told([](Communicator& c) {
          std::vector<float> values(8);
          c.all_reduce(values.data(), c.rank() == 0 ? 8 : 4);
        })
            .find("sent 16 bytes of its operation 1 where 32 bytes of operation 1 were expected; all ranks "
                  "must call") != std::string::npos);
  CHECK(told([](Communicator& c) {
          double a = 0;
          std::int64_t b = 0;
          if (c.rank() == 0)
            c.all_reduce(&a, 1);
          else
            c.all_reduce(&b, 1);
        }).find("all ranks must call the same operations in the same order") != std::string::npos);
}

TEST_CASE("a communicator can be destroyed while an operation waits for another rank") {
  const auto errors = errors_on_ranks(2, [](Communicator& communicator) {
    std::vector<float> values(100000);
    if (communicator.rank() == 0) {
      communicator.start_all_reduce(values.data(), 100000);
      throw Error("something else went wrong");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    communicator.all_reduce(values.data(), 100000);
  });
  CHECK(errors[0] == "something else went wrong");
  CHECK(errors[1].ends_with("rank 0 has ended the connection"));
}

TEST_CASE("a rank that is silent or never comes ends the waiting") {
  const test::MeetingPlace place;
  CHECK(test::error_of([&] {
          SocketCommunicator({.rank = 1, .size = 2, .folder = place.path(), .connect_seconds = 0.2});
        }) == text("rank 1: rank 0 did not come to ", place.path(), " in 0.2 s"));
  const test::MeetingPlace other;
  std::string found;
  std::thread silent([&] {
    SocketCommunicator communicator({.rank = 1, .size = 2, .folder = other.path()});
    std::this_thread::sleep_for(std::chrono::seconds(1));
  });
  {
    SocketCommunicator communicator({.rank = 0, .size = 2, .folder = other.path(), .silent_seconds = 0.3});
    found = test::error_of([&] { communicator.barrier(); });
  }
  silent.join();
  CHECK(found == "all_reduce of 1 values, operation 1: rank 0: rank 1 has been silent for 0.3 s");
}

TEST_CASE("a socket communicator refuses what it cannot be, and is one process without a launcher") {
  CHECK(test::error_of([] { SocketCommunicator({.rank = 2, .size = 2, .folder = "/tmp"}); }) ==
        "SocketCommunicator: no rank 2 among 2 processes");
  CHECK(test::error_of([] { SocketCommunicator({.rank = 0, .size = 2}); }) ==
        "SocketCommunicator: folder '' is missing or too long for a socket's name");
  ::setenv("GRAM_SIZE", "two", 1);
  CHECK(test::error_of([] { SocketCommunicator(); }) == "GRAM_SIZE is 'two'; a number is expected");
  ::unsetenv("GRAM_SIZE");
  SocketCommunicator alone;
  CHECK(alone.size() == 1);
  double x = 3;
  alone.all_reduce(&x, 1), alone.broadcast(&x, 1);
  CHECK(x == 3);
}
