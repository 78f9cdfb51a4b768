// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "gram/tensor/storage.hpp"

namespace gram::detail {

struct Node;

/// Is told by a backward walk that the gradient of a leaf is complete: no recorded operation that uses the
/// leaf is left. It must be there before these operations are recorded.
struct LeafObserver {
  virtual ~LeafObserver() = default;
  virtual void complete() = 0;

  std::atomic<int> uses = 0;  ///< by recorded operations that have not run backward
};

/// What the tape knows of a tensor: its gradient, and the operation that made it. Kept apart from the
/// tensor's memory, so that a graph holds only the values its backward steps have captured.
struct Autograd {
  Autograd(Device on_device, std::size_t size) : device(on_device), bytes(size) {}
  ~Autograd();
  Autograd(const Autograd&) = delete;
  Autograd& operator=(const Autograd&) = delete;

  Device device;
  std::size_t bytes;                  ///< size of the gradient
  std::shared_ptr<Storage> gradient;  ///< null until something flows in
  std::shared_ptr<Node> node;         ///< null for leaves
  LeafObserver* observer = nullptr;   ///< of a leaf
  std::uint64_t updates = 0;          ///< of a leaf's values by optimisers
};

using AutogradList = std::vector<std::shared_ptr<Autograd>>;

/// One recorded operation.
struct Node {
  Node(const char* operation, AutogradList operands)
      : name(operation), inputs(std::move(operands)), order(next_order()), updates(updates_now()) {
    for (const auto& input : inputs)
      if (input->observer) input->observer->uses.fetch_add(1, std::memory_order_relaxed);
  }
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Adds to the gradients of the inputs, given the gradient of the output.
  virtual void backward(std::shared_ptr<Storage> gradient) = 0;
  /// Whether an optimiser has changed an input since: what the backward step captured may be other values
  /// now.
  bool outdated() const { return updates != updates_now(); }
  /// Frees what the backward step captured; backward may not run again.
  virtual void release() = 0;
  /// Ends the use of the inputs; observers of leaves are told when this was the last one.
  void release_inputs(bool tell) {
    for (const auto& input : std::exchange(inputs, {}))
      if (input->observer && input->observer->uses.fetch_sub(1, std::memory_order_relaxed) == 1 && tell)
        input->observer->complete();
  }

  const char* name;
  AutogradList inputs;
  std::uint64_t order;  ///< later operations have larger numbers, so descending order is a valid order of the
                        ///< backward walk
  std::uint64_t updates;  ///< of all inputs together, when this was recorded
  bool released = false;

 private:
  std::uint64_t updates_now() const {
    std::uint64_t sum = 0;
    for (const auto& input : inputs) sum += input->updates;
    return sum;
  }
  static std::uint64_t next_order() {
    static std::atomic<std::uint64_t> counter = 0;
    return counter++;
  }
};

/// Destroys a graph without recursion: a chain of a million operations must not overflow the stack. What a
/// destructor would destroy is put on a list; the outermost call works the list off. The list lives on that
/// call's stack, so that tensors in static storage can still be destroyed after everything of the thread.
inline void bury(std::shared_ptr<Node> node) {
  thread_local std::vector<std::shared_ptr<Node>>* waiting = nullptr;
  if (waiting) return waiting->push_back(std::move(node));
  std::vector<std::shared_ptr<Node>> list;
  waiting = &list;
  node.reset();
  while (!list.empty()) {
    const std::shared_ptr<Node> last = std::move(list.back());
    list.pop_back();
  }
  waiting = nullptr;
}

inline Autograd::~Autograd() {
  if (node) bury(std::move(node));
}
inline Node::~Node() { release_inputs(false); }

}  // namespace gram::detail
