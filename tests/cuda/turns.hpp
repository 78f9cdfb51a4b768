// SPDX-License-Identifier: MIT
// Ranks of a communicator as threads of one process that take turns: the stand-in device, as a GPU's stream,
// is used by one thread at a time. A rank runs while it holds the turn, and passes it on while it waits.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "gram/core/communicator.hpp"

namespace gram::test {

inline std::mutex turn;
inline std::condition_variable turn_passed;
/// The hold of this thread on the turn.
inline thread_local std::unique_lock<std::mutex> held_turn;

/// Where ranks come together, again and again.
class Meeting {
 public:
  explicit Meeting(int size) : brought_(static_cast<std::size_t>(size)) {}

  /// Waits until all ranks have come; the last one does the work with what they have brought.
  template <class F>
  void operator()(int rank, void* values, const F& work) {
    brought_[static_cast<std::size_t>(rank)] = values;
    const auto round = round_;
    if (++arrived_ == brought_.size()) {
      work(brought_);
      arrived_ = 0, ++round_;
      turn_passed.notify_all();
      return;
    }
    const bool came =
        turn_passed.wait_for(held_turn, std::chrono::seconds(60), [&] { return round_ != round; });
    require<CommunicationError>(came, "rank ", rank, ": the others did not come");
  }

 private:
  std::vector<void*> brought_;
  std::size_t arrived_ = 0;
  std::uint64_t round_ = 0;
};

/// What all have brought becomes the sum, in the order of the ranks.
template <class T>
void sum_over_ranks(const std::vector<void*>& brought, Index count) {
  using Sum = std::conditional_t<std::same_as<T, float>, double, accum_t<T>>;
  for (Index i = 0; i < count; ++i) {
    Sum sum = 0;
    for (void* const values : brought) sum += static_cast<Sum>(static_cast<T*>(values)[i]);
    for (void* const values : brought) static_cast<T*>(values)[i] = static_cast<T>(sum);
  }
}
template <class T>
void copy_from_rank(const std::vector<void*>& brought, Index count, int root) {
  for (void* const values : brought)
    std::copy_n(static_cast<T*>(brought[static_cast<std::size_t>(root)]), count, static_cast<T*>(values));
}

/// Values of the host.
class TurnsCommunicator final : public Communicator {
 public:
  TurnsCommunicator(int rank, int size, Meeting& meeting) : rank_(rank), size_(size), meeting_(meeting) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  static inline thread_local int operations = 0;  ///< that this thread has begun

 private:
  std::uint64_t start(const Message& message) override {
    ++operations;
    require<DeviceError>(message.device == Device::cpu(), "TurnsCommunicator: no values on ", message.device);
    meeting_(rank_, message.values, [&](const std::vector<void*>& brought) {
      with_type(message.type, [&]<class T>(T*) {
        if (message.kind == Kind::sum)
          sum_over_ranks<T>(brought, message.count);
        else
          copy_from_rank<T>(brought, message.count, message.root);
      });
    });
    return 1;
  }
  void finish(std::uint64_t) override {}

  int rank_, size_;
  Meeting& meeting_;
};

/// f(communicator) on each of `size` ranks; returns the message of the gram::Error that each has thrown, or
/// "".
inline std::vector<std::string> errors_in_turns(int size, const std::function<void(Communicator&)>& f) {
  Meeting meeting(size);
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.emplace_back([&, rank] {
      held_turn = std::unique_lock(turn);
      try {
        TurnsCommunicator communicator(rank, size, meeting);
        f(communicator);
      } catch (const Error& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
      held_turn = {};
    });
  for (std::thread& rank : ranks) rank.join();
  return errors;
}

}  // namespace gram::test
