// SPDX-License-Identifier: MIT
// Several ranks as threads of one process.
#pragma once
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gram/train/socket_communicator.hpp"

namespace gram::test {

/// A folder for the sockets of one test.
class MeetingPlace {
 public:
  MeetingPlace() {
    char name[] = "/tmp/gram.XXXXXX";
    require<FileError>(::mkdtemp(name), "mkdtemp failed");
    path_ = name;
  }
  ~MeetingPlace() { std::filesystem::remove_all(path_); }
  MeetingPlace(const MeetingPlace&) = delete;
  MeetingPlace& operator=(const MeetingPlace&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// f(communicator) on each of `size` ranks; returns the message of the gram::Error that each has thrown, or
/// "".
template <class F>
std::vector<std::string> errors_on_ranks(int size, F&& f) {
  const MeetingPlace place;
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.emplace_back([&, rank] {
      try {
        SocketCommunicator communicator({.rank = rank,
                                         .size = size,
                                         .folder = place.path(),
                                         .connect_seconds = 20,
                                         .silent_seconds = 20});
        f(static_cast<Communicator&>(communicator));
      } catch (const Error& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  for (std::thread& rank : ranks) rank.join();
  return errors;
}
/// The same where no rank may throw.
template <class F>
void on_ranks(int size, F&& f) {
  for (const std::string& error : errors_on_ranks(size, f)) CHECK(error == "");
}

}  // namespace gram::test
