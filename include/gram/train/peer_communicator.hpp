// SPDX-License-Identifier: MIT
// The operations of a communicator, made of messages between two processes: the same for sockets and for MPI.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "gram/core/communicator.hpp"

namespace gram {

/// A thread of its own runs the operations, one after another, so that they overlap with what the program
/// computes. MPI_Allreduce may add in another order in every run; here the bits are those of a loop over the
/// ranks.
class PeerCommunicator : public Communicator {
 public:
  int rank() const final { return rank_; }
  int size() const final { return size_; }

 protected:
  /// What both ends of a message must agree on.
  struct Stamp {
    std::uint64_t operation = 0, bytes = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Transfer {
    int peer = -1;  ///< none
    Stamp stamp = {};
    void* data = nullptr;
  };

  PeerCommunicator(int rank, int size) : rank_(rank), size_(size) {
    if (size > 1) thread_ = std::thread([this] { serve(); });
  }
  ~PeerCommunicator() override { stop(); }

  /// Ends the thread. The destructor of a derived class calls it first.
  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  /// An exchange() that waits must end when this is true.
  bool stopped() const {
    const std::scoped_lock lock(mutex_);
    return stopped_;
  }

  /// Sends one message and receives another, at the same time. Throws CommunicationError; received stamps go
  /// through check().
  virtual void exchange(const Transfer& out, const Transfer& in) = 0;
  /// Called when an operation has failed: lets the other processes know.
  virtual void hang_up() = 0;

  void check(const Transfer& in, const Stamp& received) const {
    require<CommunicationError>(received == in.stamp, "rank ", rank_, ": rank ", in.peer, " sent ",
                                received.bytes, " bytes of its operation ", received.operation >> kind_bits,
                                " where ", in.stamp.bytes, " bytes of operation ",
                                in.stamp.operation >> kind_bits,
                                " were expected; all ranks must call the same operations in the same order");
  }

 private:
  static constexpr int kind_bits = 8;
  static constexpr std::size_t small_bytes = std::size_t{1} << 14;  // below, latency decides
  static constexpr std::size_t slice_bytes = std::size_t{1} << 18;  // stays in the L2 cache

  std::uint64_t start(const Message& message) override {
    const std::scoped_lock lock(mutex_);
    if (size_ > 1) {
      if (served_ == waiting_.size()) waiting_.clear(), served_ = 0;
      waiting_.push_back(message);
      changed_.notify_all();
    }
    return ++begun_;
  }

  void finish(std::uint64_t number) override {
    if (size_ == 1) return;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ >= number || error_; });
    if (done_ < number) std::rethrow_exception(error_);
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopped_ || served_ < waiting_.size(); });
      if (stopped_) return;
      const Message message = waiting_[served_++];
      lock.unlock();
      std::exception_ptr error;
      try {
        perform(message);
      } catch (...) {
        error = std::current_exception();
        hang_up();
      }
      lock.lock();
      if (error) error_ = error;
      if (!error_) ++done_;
      changed_.notify_all();
      if (error_) return;
    }
  }

  void perform(const Message& message) {
    ++number_;
    const bool sums = message.kind == Kind::sum;
    operation_ = number_ << kind_bits | static_cast<std::uint64_t>(message.kind) << 4 |
                 static_cast<std::uint64_t>(message.type);
    try {
      require<CommunicationError>(message.device == Device::cpu(), "no values on ", to_text(message.device));
      if (sums)
        with_type(message.type, [&]<class T>(T*) { sum(static_cast<T*>(message.values), message.count); });
      else
        send_from(message.root, static_cast<char*>(message.values),
                  static_cast<std::size_t>(message.count) * element_bytes(message.type));
    } catch (const Error& error) {
      throw CommunicationError(text(sums ? "all_reduce" : "broadcast", " of ", message.count,
                                    " values, operation ", number_, ": ", error.what()));
    }
  }

  Transfer with(int peer, void* data, std::size_t bytes) const { return {peer, {operation_, bytes}, data}; }

  void send_from(int root, char* values, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += slice_bytes) {
      const std::size_t n = std::min(slice_bytes, bytes - at);
      if (rank_ != root) exchange({}, with(root, values + at, n));
      for (int peer = 0; peer < size_ && rank_ == root; ++peer)
        if (peer != root) exchange(with(peer, values + at, n), {});
    }
  }

  /// f(to, from) for every other rank, all ranks in step with each other.
  template <class F>
  void for_each_peer(F&& f) {
    for (int step = 1; step < size_; ++step) f((rank_ + step) % size_, (rank_ - step + size_) % size_);
  }

  template <class T>
  void sum(T* values, Index count) {
    if (static_cast<std::size_t>(count) * sizeof(T) <=
        small_bytes) {  // everybody sends everything to everybody
      T* const received = buffer<T>(count);
      for_each_peer([&](int to, int from) {
        const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
        exchange(with(to, values, bytes), with(from, received + from * count, bytes));
      });
      return add(values, received, count);
    }
    const Index slice = static_cast<Index>(slice_bytes / sizeof(T));
    T* const received = buffer<T>(slice);
    for (Index at = 0; at < count; at += slice * size_) {
      const Index n = std::min(slice * size_, count - at);
      const auto begin = [&](int r) { return n * r / size_; };
      const auto length = [&](int r) { return begin(r + 1) - begin(r); };
      const auto bytes = [&](int r) { return static_cast<std::size_t>(length(r)) * sizeof(T); };
      T* const part = values + at;
      for_each_peer([&](int to, int from) {  // everybody's values of slice r go to rank r, which adds them
        exchange(with(to, part + begin(to), bytes(to)),
                 with(from, received + from * length(rank_), bytes(rank_)));
      });
      add(part + begin(rank_), received, length(rank_));
      for_each_peer([&](int to, int from) {
        exchange(with(to, part + begin(rank_), bytes(rank_)), with(from, part + begin(from), bytes(from)));
      });
    }
  }

  /// own = the sum over the ranks, in their order; received (size, count), its row of this rank unused.
  template <class T>
  void add(T* own, const T* received, Index count) const {
    using Sum = std::conditional_t<std::same_as<T, float>, double, accum_t<T>>;
    constexpr Index block = 512;
    Sum sums[block];
    for (Index at = 0; at < count; at += block) {
      const Index n = std::min(block, count - at);
      std::fill(sums, sums + n, Sum(0));
      for (int r = 0; r < size_; ++r) {
        const T* const source = r == rank_ ? own + at : received + r * count + at;
        for (Index i = 0; i < n; ++i) sums[i] += static_cast<Sum>(source[i]);
      }
      for (Index i = 0; i < n; ++i) own[at + i] = static_cast<T>(sums[i]);
    }
  }

  /// Memory for `count` values of every rank.
  template <class T>
  T* buffer(Index count) {
    const auto values = static_cast<std::size_t>(count * size_) * sizeof(T) / sizeof(double) + 1;
    if (buffer_.size() < values) buffer_.resize(values);
    return static_cast<T*>(static_cast<void*>(buffer_.data()));
  }

  int rank_, size_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Message> waiting_;  // those before served_ have been taken on
  std::size_t served_ = 0;
  std::uint64_t begun_ = 0, done_ = 0;
  std::exception_ptr error_;
  bool stopped_ = false;
  std::vector<double> buffer_;  // this and what follows belong to the thread
  std::uint64_t number_ = 0, operation_ = 0;
  std::thread thread_;
};

}  // namespace gram
