// SPDX-License-Identifier: MIT
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "gram/train/peer_communicator.hpp"

namespace gram {
namespace detail {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace detail

struct SocketCommunicatorOptions {
  int rank = 0, size = 1;
  std::string folder = {};  ///< where the processes find each other's sockets; of this run alone
  std::string name =
      "default";  ///< a program with several communicators, at once or in turn, gives each its own
  double connect_seconds = 60;  ///< how long to wait for the others to start
  double silent_seconds = 600;  ///< how long another process may keep this one waiting

  /// What scripts/launch.py sets: GRAM_RANK, GRAM_SIZE, GRAM_RENDEZVOUS; one process without them. Throws
  /// ArgumentError for values that are none.
  static SocketCommunicatorOptions from_environment() {
    SocketCommunicatorOptions o;
    const auto number = [](const char* variable, int otherwise) {
      const char* const value = std::getenv(variable);
      if (!value) return otherwise;
      int result = -1;
      const auto end = std::from_chars(value, value + std::strlen(value), result).ptr;
      require<ArgumentError>(*value && *end == 0 && result >= 0, variable, " is '", std::string(value),
                             "'; a number is expected");
      return result;
    };
    o.rank = number("GRAM_RANK", 0), o.size = number("GRAM_SIZE", 1);
    if (const char* folder = std::getenv("GRAM_RENDEZVOUS")) o.folder = folder;
    return o;
  }
};

/// A communicator of processes on one machine, over Unix-domain sockets; scripts/launch.py starts them.
class SocketCommunicator final : public PeerCommunicator {
 public:
  using Options = SocketCommunicatorOptions;

  /// Returns when all processes are connected. Throws ArgumentError for a rank outside, CommunicationError
  /// when another one does not come.
  explicit SocketCommunicator(Options options = Options::from_environment())
      : PeerCommunicator(checked(options).rank, options.size), options_(std::move(options)) {
    if (size() > 1) connect_all();
  }
  ~SocketCommunicator() override { stop(); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int tick_ms = 100;

  static const Options& checked(const Options& o) {
    require<ArgumentError>(o.size >= 1 && o.rank >= 0 && o.rank < o.size, "SocketCommunicator: no rank ",
                           o.rank, " among ", o.size, " processes");
    require<ArgumentError>(
        o.size == 1 || (!o.folder.empty() && path(o, o.size - 1).size() < sizeof sockaddr_un{}.sun_path),
        "SocketCommunicator: folder '", o.folder, "' is missing or too long for a socket's name");
    return o;
  }
  static std::string path(const Options& o, int rank) { return text(o.folder, "/", o.name, ".", rank); }

  [[noreturn]] void fail(const std::string& what) const {
    throw CommunicationError(text("rank ", rank(), ": ", what));
  }
  [[noreturn]] void fail_call(const char* call) const { fail(text(call, ": ", std::strerror(errno))); }

  detail::FileDescriptor make_socket() const {
    detail::FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) fail_call("socket");
    return fd;
  }
  static sockaddr_un address(const std::string& path) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
    return a;
  }

  /// Every process listens, calls those of lower rank and is called by those of higher rank.
  void connect_all() {
    const Clock::time_point end = after(options_.connect_seconds);
    const auto late = [&](const std::string& who) {
      if (Clock::now() > end)
        fail(text(who, " did not come to ", options_.folder, " in ", options_.connect_seconds, " s"));
    };
    const std::string own = path(options_, rank());
    const detail::FileDescriptor listener = make_socket();
    const sockaddr_un here = address(own);
    if (::bind(listener.get(), generic(here), sizeof here) != 0 || ::listen(listener.get(), size()) != 0)
      fail_call(("bind " + own).c_str());
    peers_.resize(static_cast<std::size_t>(size()));
    const std::int32_t my_rank = rank();
    for (int other = 0; other < rank(); ++other) {
      const sockaddr_un there = address(path(options_, other));
      for (;;) {
        detail::FileDescriptor fd = make_socket();
        if (::connect(fd.get(), generic(there), sizeof there) == 0) {
          if (::send(fd.get(), &my_rank, sizeof my_rank, MSG_NOSIGNAL) != sizeof my_rank) fail_call("send");
          peers_[static_cast<std::size_t>(other)] = std::move(fd);
          break;
        }
        late(text("rank ", other));
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
    for (int missing = size() - 1 - rank(); missing > 0;) {
      pollfd ready{listener.get(), POLLIN, 0};
      if (::poll(&ready, 1, tick_ms) <= 0) {
        late(text(missing, " of the ranks above"));
        continue;
      }
      detail::FileDescriptor fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::int32_t other = 0;
      if (fd.get() < 0 || ::recv(fd.get(), &other, sizeof other, MSG_WAITALL) != sizeof other)
        fail_call("accept");
      if (other <= rank() || other >= size() || peers_[static_cast<std::size_t>(other)].get() >= 0)
        fail(text("a second or unknown rank ", other, " came to ", own));
      peers_[static_cast<std::size_t>(other)] = std::move(fd);
      --missing;
    }
    ::unlink(own.c_str());
  }
  static const sockaddr* generic(const sockaddr_un& a) {
    return static_cast<const sockaddr*>(static_cast<const void*>(&a));
  }

  static Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  /// A message under way: its stamp, then its values.
  struct Progress {
    explicit Progress(const Transfer& t)
        : transfer(t), stamp(t.stamp), left(t.peer < 0 ? 0 : sizeof stamp + t.stamp.bytes) {}

    /// What comes next, in one piece.
    std::pair<char*, std::size_t> next() {
      if (left > transfer.stamp.bytes) {
        const std::size_t rest = left - transfer.stamp.bytes;
        return {static_cast<char*>(static_cast<void*>(&stamp)) + (sizeof stamp - rest), rest};
      }
      return {static_cast<char*>(transfer.data) + (transfer.stamp.bytes - left), left};
    }

    const Transfer& transfer;
    Stamp stamp;
    std::size_t left;
  };

  void exchange(const Transfer& out, const Transfer& in) override {
    Progress sent(out), received(in);
    Clock::time_point end = after(options_.silent_seconds);
    while (sent.left > 0 || received.left > 0) {
      pollfd waits[2] = {{sent.left ? fd(out.peer) : -1, POLLOUT, 0},
                         {received.left ? fd(in.peer) : -1, POLLIN, 0}};
      if (::poll(waits, 2, tick_ms) < 0 && errno != EINTR) fail_call("poll");
      if (stopped()) fail("the communicator was destroyed while an operation was running");
      bool moved = false;
      if (waits[0].revents)
        moved |= move(sent, [&](char* p, std::size_t n) {
          return ::send(fd(out.peer), p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        });
      if (waits[1].revents) {
        const bool before = received.left > in.stamp.bytes;
        moved |=
            move(received, [&](char* p, std::size_t n) { return ::recv(fd(in.peer), p, n, MSG_DONTWAIT); });
        if (before && received.left <= in.stamp.bytes) check(in, received.stamp);
      }
      if (moved)
        end = after(options_.silent_seconds);
      else if (Clock::now() > end)
        fail(text("rank ", received.left ? in.peer : out.peer, " has been silent for ",
                  options_.silent_seconds, " s"));
    }
  }
  /// Moves what can be moved at once; true when something was.
  template <class Call>
  bool move(Progress& p, Call&& call) {
    const auto [data, bytes] = p.next();
    const ssize_t n = call(data, bytes);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
    if (n <= 0) fail(text("rank ", p.transfer.peer, " has ended the connection"));
    p.left -= static_cast<std::size_t>(n);
    return true;
  }
  int fd(int peer) const { return peers_[static_cast<std::size_t>(peer)].get(); }

  void hang_up() override {
    for (const detail::FileDescriptor& peer : peers_)
      if (peer.get() >= 0) ::shutdown(peer.get(), SHUT_RDWR);
  }

  Options options_;
  std::vector<detail::FileDescriptor> peers_;
};

}  // namespace gram
