// SPDX-License-Identifier: MIT
// What operations know of CUDA graphs (cuda/graph.hpp): whether one is being captured on this thread, and how
// a number that the host computes anew for every replay reaches a kernel.
#pragma once
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "gram/core/error.hpp"
#include "gram/core/random.hpp"

namespace gram::cuda {

/// A capture in progress: operations are written down, nothing runs. State of the host (step counts, random
/// sources) must not change in it, but in every replay: through live().
class Capture {
 public:
  Capture() = default;
  virtual ~Capture() = default;
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  /// Device memory for kernels to read value() from, which is called at the start of every replay, in the
  /// order of these calls.
  template <class F>
  const std::invoke_result_t<F>* live(F value) {
    using V = std::invoke_result_t<F>;
    static_assert(std::is_trivially_copyable_v<V> && alignof(V) <= word);
    struct Typed final : Live {
      explicit Typed(F f) : value(std::move(f)) {}
      void write(void* to) override { *static_cast<V*>(to) = value(); }
      F value;
    };
    return static_cast<const V*>(add(std::make_unique<Typed>(std::move(value)), sizeof(V)));
  }
  /// A key whose stream is drawn anew for every replay, as a plain step would draw it. The seed is that of
  /// the capture: a source that is restored with another one needs another graph.
  RandomKey key(Rng& rng) {
    return {rng.seed(), 0, live([&rng] { return rng.key().stream; })};
  }

 protected:
  static constexpr std::size_t word = 8;
  struct Live {
    virtual ~Live() = default;
    virtual void write(void* to) = 0;
  };
  virtual const void* add(std::unique_ptr<Live> number, std::size_t bytes) = 0;
};

/// The capture of this thread, null at other times.
inline thread_local Capture* current_capture = nullptr;

/// Throws DeviceError while a graph is captured: the operation would wait for values that are not computed.
inline void require_no_capture(const char* operation) {
  require<DeviceError>(!current_capture, operation,
                       ": values on the device cannot be read or changed by the host while a CUDA graph is "
                       "captured");
}

}  // namespace gram::cuda
