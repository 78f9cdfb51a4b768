// SPDX-License-Identifier: MIT
// What processes that train together say to each other. train/ has the communicators: over sockets, over MPI;
// cuda/ has that of NCCL.
#pragma once
#include <cstdint>

#include "gram/core/cuda_capture.hpp"
#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram {

/// Another process ended or did not answer, or processes called different operations.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

/// What can be summed over processes.
template <class T>
concept Summable = Scalar<T> || std::same_as<T, std::int64_t>;

/// The processes that train together, as one of them sees them. All must call the same operations in the same
/// order, from one thread each; an operation runs after those called before it. Every process gets the same
/// bits, in every run.
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;  ///< of this process, in [0, size)
  virtual int size() const = 0;  ///< number of processes
  /// Whether operations on values of a GPU can be part of a CUDA graph. Then all processes must capture the
  /// same operations, and replay them together.
  virtual bool capturable() const { return false; }

  /// An operation that runs on its own. The values may not be touched before it has been waited for.
  class Request {
   public:
    /// Returns when the operation is done (on a GPU: lets the stream of the kernels wait for it). Throws
    /// CommunicationError when it failed; then all later ones fail, too.
    void wait() const {
      if (owner_) owner_->finish(number_);
    }

   private:
    friend Communicator;
    Communicator* owner_ = nullptr;
    std::uint64_t number_ = 0;
  };

  /// values[i] = sum over the ranks of values[i]. On the CPU in the order of the ranks: in double for float
  /// and double, in float for bf16, rounded once.
  template <Summable T>
  void all_reduce(T* values, Index count, Device device = Device::cpu()) {
    start_all_reduce(values, count, device).wait();
  }
  /// The same without waiting.
  template <Summable T>
  Request start_all_reduce(T* values, Index count, Device device = Device::cpu()) {
    return begin({Kind::sum, type_of<T>, 0, values, count, device});
  }
  /// values[i] = values[i] of one rank.
  template <Summable T>
  void broadcast(T* values, Index count, int root = 0, Device device = Device::cpu()) {
    require<ArgumentError>(root >= 0 && root < size(), "Communicator::broadcast: no rank ", root, " among ",
                           size());
    begin({Kind::broadcast, type_of<T>, root, values, count, device}).wait();
  }
  /// Returns when all processes have called it.
  void barrier() {
    std::int64_t nothing = 0;
    all_reduce(&nothing, 1);
  }

 protected:
  enum class Kind : std::uint8_t { sum, broadcast };
  enum class Type : std::uint8_t { float32, float64, bfloat16, int64 };
  struct Message {
    Kind kind;
    Type type;
    int root;
    void* values;
    Index count;
    Device device;
  };

  /// Begins an operation, after those before it, and returns its number.
  virtual std::uint64_t start(const Message& message) = 0;
  virtual void finish(std::uint64_t number) = 0;

  static std::size_t element_bytes(Type type) {
    return type == Type::bfloat16 ? 2 : type == Type::float32 ? 4 : 8;
  }
  /// f(pointer to T) for the element type of a message.
  template <class F>
  static void with_type(Type type, F&& f) {
    switch (type) {
      case Type::float32:
        return f(static_cast<float*>(nullptr));
      case Type::float64:
        return f(static_cast<double*>(nullptr));
      case Type::bfloat16:
        return f(static_cast<bf16*>(nullptr));
      case Type::int64:
        return f(static_cast<std::int64_t*>(nullptr));
    }
  }

 private:
  template <class T>
  static constexpr Type type_of = std::same_as<T, float>    ? Type::float32
                                  : std::same_as<T, double> ? Type::float64
                                  : std::same_as<T, bf16>   ? Type::bfloat16
                                                            : Type::int64;
  Request begin(const Message& message) {
    Request request;
    if (message.device == Device::cpu()) cuda::require_no_capture("Communicator");
    if (message.count > 0) request.number_ = start(message), request.owner_ = this;
    return request;
  }
};

}  // namespace gram
