// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/cuda_capture.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {
namespace detail {

/// Random keys drawn by operations inside a checkpointed function: written in the forward pass, read when it
/// runs again, so that dropout makes the same mask twice. A checkpoint inside one that runs again takes its
/// keys from the log outside.
struct KeyLog {
  KeyLog* outer = nullptr;
  std::vector<RandomKey> keys;
  std::size_t next = 0;
  bool replay = false;
};
inline thread_local KeyLog* key_log = nullptr;

class KeyLogScope {
 public:
  explicit KeyLogScope(KeyLog& log) : before_(std::exchange(key_log, &log)) { log.outer = before_; }
  ~KeyLogScope() { key_log = before_; }
  KeyLogScope(const KeyLogScope&) = delete;
  KeyLogScope& operator=(const KeyLogScope&) = delete;

 private:
  KeyLog* before_;
};

inline RandomKey draw_key(Rng& rng, KeyLog* log) {
  if (!log) return cuda::current_capture ? cuda::current_capture->key(rng) : rng.key();
  if (log->replay) return log->keys.at(log->next++);
  log->keys.push_back(draw_key(rng, log->outer));
  return log->keys.back();
}

}  // namespace detail

/// The key of the next random operation; every operation that draws random numbers takes its key here.
inline RandomKey draw_key(Rng& rng) { return detail::draw_key(rng, detail::key_log); }

/// True while a checkpointed function runs for the second time: layers must not update their running
/// statistics again.
inline bool recomputing() {
  for (const detail::KeyLog* log = detail::key_log; log; log = log->outer)
    if (log->replay) return true;
  return false;
}

/// f(x) without keeping what its operations capture; backward computes f(x) again, then its gradients
/// (arXiv:1604.06174). f must be a function of x and of parameters, of type Tensor<T> -> Tensor<T>.
template <Scalar T, class F>
Tensor<T> checkpoint(F f, const Tensor<T>& x) {
  if (!grad_enabled()) return f(x);
  detail::KeyLog log;
  Tensor<T> y;
  {
    const NoGrad off;
    const detail::KeyLogScope scope(log);
    y = f(x.detach());
  }
  // The result needs a gradient even when x does not: f may use parameters. A leaf of no elements stands for
  // them.
  Tensor<T> anchor(Shape{0});
  anchor.set_requires_grad();
  return record("checkpoint", y.detach(), {x, anchor},
                [f, x = x.detach(), dx = x.gradient(), log = std::move(log)](const Tensor<T>& dy) mutable {
                  log.replay = true;
                  log.next = 0;
                  Tensor<T> again = x;
                  again.set_requires_grad();
                  {
                    const detail::KeyLogScope scope(log);
                    const detail::Recording on;  // the walk may run where nothing is recorded
                    backward(f(again), dy);
                  }
                  if (dx && again.grad().defined()) dx.add(again.grad());
                });
}

}  // namespace gram
