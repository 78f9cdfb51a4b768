// SPDX-License-Identifier: MIT
// Not part of gram.hpp: whoever includes this has MPI (CMake: gram::mpi).
#pragma once
#if !defined(OMPI_SKIP_MPICXX)
#define OMPI_SKIP_MPICXX 1  // bindings that MPI has since given up, and that need another library
#endif
#if !defined(MPICH_SKIP_MPICXX)
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <chrono>

#include "gram/train/peer_communicator.hpp"

namespace gram {
namespace detail {

/// MPI from here to the end of the program, unless somebody else has started it.
class MpiSession {
 public:
  explicit MpiSession(MPI_Comm parent) {
    int initialized = 0;
    MPI_Initialized(&initialized);
    int provided = MPI_THREAD_SINGLE;
    if (initialized)
      MPI_Query_thread(&provided);
    else
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
    owner_ = !initialized;
    require<CommunicationError>(provided == MPI_THREAD_MULTIPLE,
                                "MpiCommunicator: this MPI does not allow calls from several threads");
    MPI_Comm_dup(parent, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  }
  /// To wait for the others after an error, as MPI_Finalize does, would be to hang: mpirun ends them.
  ~MpiSession() {
    if (broken || std::uncaught_exceptions() > exceptions_) return;
    MPI_Comm_free(&comm);
    if (owner_) MPI_Finalize();
  }
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int comm_rank() const {
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    return rank;
  }
  int comm_size() const {
    int size = 1;
    MPI_Comm_size(comm, &size);
    return size;
  }

  MPI_Comm comm = MPI_COMM_NULL;
  bool broken = false;

 private:
  bool owner_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace detail

struct MpiCommunicatorOptions {
  MPI_Comm parent = MPI_COMM_WORLD;
  double silent_seconds = 600;  ///< how long another process may keep this one waiting
};

/// A communicator over MPI. Starts MPI when nobody has, and ends it then. All operations are messages between
/// two processes, so that the order of sums is known; waiting leaves the processor to others.
class MpiCommunicator final : private detail::MpiSession, public PeerCommunicator {
 public:
  using Options = MpiCommunicatorOptions;

  explicit MpiCommunicator(const Options& options = {})
      : MpiSession(options.parent),
        PeerCommunicator(comm_rank(), comm_size()),
        silent_seconds_(options.silent_seconds) {}
  ~MpiCommunicator() override { stop(); }

 private:
  using Clock = std::chrono::steady_clock;

  void checked(int code, const char* call) const {
    if (code == MPI_SUCCESS) return;
    char reason[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, reason, &length);
    throw CommunicationError(
        text(call, " on rank ", rank(), ": ", std::string(reason, static_cast<std::size_t>(length))));
  }

  void exchange(const Transfer& out, const Transfer& in) override {
    MPI_Request requests[4] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    Stamp sent = out.stamp, received;
    if (in.peer >= 0) {
      checked(MPI_Irecv(&received, sizeof received, MPI_BYTE, in.peer, 0, comm, &requests[0]), "MPI_Irecv");
      checked(MPI_Irecv(in.data, static_cast<int>(in.stamp.bytes), MPI_BYTE, in.peer, 1, comm, &requests[1]),
              "MPI_Irecv");
    }
    if (out.peer >= 0) {
      checked(MPI_Isend(&sent, sizeof sent, MPI_BYTE, out.peer, 0, comm, &requests[2]), "MPI_Isend");
      checked(
          MPI_Isend(out.data, static_cast<int>(out.stamp.bytes), MPI_BYTE, out.peer, 1, comm, &requests[3]),
          "MPI_Isend");
    }
    if (in.peer >= 0) {
      wait(1, requests);
      check(in, received);
    }
    wait(4, requests);
  }

  void wait(int count, MPI_Request* requests) const {
    const auto begin = Clock::now();
    for (int tests = 0;; ++tests) {
      int done = 0;
      checked(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE), "MPI_Testall");
      if (done) return;
      if (tests < 1000) {
        std::this_thread::yield();
        continue;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      if (stopped())
        throw CommunicationError(
            text("rank ", rank(), ": the communicator was destroyed while an operation was running"));
      if (std::chrono::duration<double>(Clock::now() - begin).count() > silent_seconds_)
        throw CommunicationError(
            text("rank ", rank(), ": another rank has been silent for ", silent_seconds_, " s"));
    }
  }

  void hang_up() override { broken = true; }

  double silent_seconds_;
};

}  // namespace gram
