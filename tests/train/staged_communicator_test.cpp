// SPDX-License-Identifier: MIT
// Values of the host here; those of a device in tests/cuda/several_ranks_test.cpp.
#include "gram/train/staged_communicator.hpp"

#include "ranks.hpp"

using namespace gram;

TEST_CASE("values of the host go through a staged communicator as through its own") {
  test::on_ranks(3, [](Communicator& host) {
    StagedCommunicator communicator(host);
    CHECK(communicator.rank() == host.rank());
    CHECK(communicator.size() == 3);
    CHECK_FALSE(communicator.capturable());
    double values[] = {1.5, static_cast<double>(host.rank())};
    communicator.all_reduce(values, 2);
    CHECK(values[0] == 4.5);
    CHECK(values[1] == 3);
    std::int64_t number = 7 * host.rank();
    communicator.broadcast(&number, 1, 2);
    CHECK(number == 14);
    communicator.barrier();
  });
}
