// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <optional>

#include "gram/tensor/tensor.hpp"

namespace gram {
namespace detail {

inline thread_local bool recording = true;
inline thread_local bool retaining = false;  // the walk that runs may be walked again

/// A node that keeps its backward step as a closure over typed tensors.
template <Scalar T, class Step>
struct Operation final : Node {
  Operation(const char* operation, AutogradList operands, const Shape& output, Step backward_step)
      : Node(operation, std::move(operands)), shape(output), step(std::move(backward_step)) {}

  void backward(std::shared_ptr<Storage> gradient) override {
    (*step)(Tensor<T>(shape, std::move(gradient)));
  }
  void release() override {
    step.reset();
    released = true;
  }

  Shape shape;
  std::optional<Step> step;
};

/// Those that need a gradient; none while nothing is recorded.
inline AutogradList operands_of(const std::vector<AnyTensor>& inputs) {
  AutogradList operands;
  if (!recording) return operands;
  for (const AnyTensor& x : inputs)
    if (x.requires_grad()) operands.push_back(x.autograd());
  return operands;
}

struct MadeEarlier {
  bool operator()(const std::shared_ptr<Autograd>& a, const std::shared_ptr<Autograd>& b) const {
    return a->node->order < b->node->order;
  }
};

/// Runs the backward steps of everything the roots depend on. The roots' gradients are set already. Results
/// wait in a heap, latest first: an operation runs after all operations that use its result.
inline void walk(const AutogradList& roots, bool retain_graph) {
  struct Scope {
    const bool before;
    ~Scope() { retaining = before; }
  } const scope{std::exchange(retaining, retain_graph)};
  AutogradList waiting;
  struct Forget {  // what an error leaves behind must not be part of the next walk
    AutogradList& waiting;
    ~Forget() {
      for (const auto& result : waiting) result->gradient = nullptr;
    }
  } const forget{waiting};
  const auto add = [&](const std::shared_ptr<Autograd>& result) {
    if (!result->node || !result->gradient) return;
    waiting.push_back(result);
    std::push_heap(waiting.begin(), waiting.end(), MadeEarlier{});
  };
  for (const auto& root : roots) add(root);
  while (!waiting.empty()) {
    std::pop_heap(waiting.begin(), waiting.end(), MadeEarlier{});
    const std::shared_ptr<Autograd> result = std::move(waiting.back());
    waiting.pop_back();
    if (!result->gradient) continue;  // pushed once for each use, done the first time
    Node& node = *result->node;
    auto gradient = std::exchange(result->gradient, nullptr);
    require<Error>(!node.released, "backward: the graph of ", node.name,
                   " was freed by an earlier backward; pass {.retain_graph = true} there");
    require<Error>(!node.outdated(), "backward: ", node.name,
                   " was computed with parameters that an optimiser has changed since; compute it again");
    node.backward(std::move(gradient));
    for (const auto& operand : node.inputs) add(operand);
    if (retain_graph) continue;
    node.release();
    node.release_inputs(true);
  }
}

}  // namespace detail

namespace detail {

/// While one of these lives, operations of this thread are recorded.
struct Recording {
  Recording() = default;
  ~Recording() { recording = before; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  const bool before = std::exchange(recording, true);
};

}  // namespace detail

/// While one of these lives, operations of this thread are not recorded.
class NoGrad {
 public:
  explicit NoGrad(bool off = true) : before_(std::exchange(detail::recording, detail::recording && !off)) {}
  ~NoGrad() { detail::recording = before_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// True while operations of this thread are recorded.
inline bool grad_enabled() { return detail::recording; }

/// True when an operation on these tensors is to be recorded.
inline bool needs_grad(std::initializer_list<AnyTensor> inputs) {
  return grad_enabled() &&
         std::any_of(inputs.begin(), inputs.end(), [](const AnyTensor& x) { return x.requires_grad(); });
}

/// Throws DeviceError unless all tensors of an operation are on one device; undefined ones do not count.
inline void require_one_device(const char* operation, std::initializer_list<const AnyTensor*> tensors) {
  const AnyTensor* first = nullptr;
  for (const AnyTensor* x : tensors) {
    if (!x->defined()) continue;
    if (!first) first = x;
    require<DeviceError>(x->device() == first->device(), operation, ": tensors are on ", first->device(),
                         " and on ", x->device(), "; one device is needed");
  }
}

/// Ends every differentiable operation: returns y as the result of `name` applied to the inputs. step(dy)
/// adds to the gradients of the inputs, through Tensor::gradient(); it runs once in every walk, and is freed
/// after the first unless the graph is retained. It may capture y, the plain tensor, without making a cycle:
/// the result is another handle on the same memory.
template <Scalar T, class Step>
Tensor<T> record(const char* name, const Tensor<T>& y, const std::vector<AnyTensor>& inputs, Step step) {
  detail::AutogradList operands = detail::operands_of(inputs);
  if (operands.empty()) return y;
  auto autograd =
      std::make_shared<detail::Autograd>(y.device(), static_cast<std::size_t>(y.size()) * sizeof(T));
  autograd->node =
      std::make_shared<detail::Operation<T, Step>>(name, std::move(operands), y.shape(), std::move(step));
  return y.attached(autograd);
}

struct BackwardOptions {
  bool retain_graph = false;  ///< keep what the backward steps captured, so that backward can run again
};

/// One start of a backward walk: a tensor and the gradient of the objective with respect to it.
template <Scalar T>
struct Root {
  Tensor<T> y;
  Tensor<T> dy;
};

/// Adds d(sum over roots of <y, dy>)/dx to the gradient of every leaf x the roots depend on. Throws
/// ShapeError when a dy does not have the shape of its y, DeviceError when it is elsewhere, ArgumentError
/// when it is undefined, Error when a y was not computed from anything that needs a gradient, when an earlier
/// walk has freed the graph, or when an optimiser has changed parameters that it was computed with. A walk
/// that ends in an error leaves leaves with what they have got until then.
template <Scalar T>
void backward(const std::vector<Root<T>>& roots, BackwardOptions options = {}) {
  detail::AutogradList starts;
  for (const auto& [y, dy] : roots) {
    require<ArgumentError>(dy.defined(), "backward: the gradient is undefined");
    require_one_device("backward", {&y, &dy});
    require(y.shape() == dy.shape(), "backward: gradient of shape ", dy.shape(), " for a tensor of shape ",
            y.shape());
    require<Error>(y.requires_grad(), "backward: the tensor of shape ", y.shape(),
                   " depends on nothing that requires a gradient");
  }
  for (const auto& [y, dy] : roots) {
    y.gradient().add(dy.detach());
    starts.push_back(y.autograd());
  }
  detail::walk(starts, options.retain_graph);
}

template <Scalar T>
void backward(const Tensor<T>& y, const Tensor<T>& dy, BackwardOptions options = {}) {
  backward<T>({{y, dy}}, options);
}

/// Backward from a scalar, with dy = 1.
template <Scalar T>
void backward(const Tensor<T>& y, BackwardOptions options = {}) {
  require(y.size() == 1, "backward: shape ", y.shape(),
          " is not a scalar; pass the gradient of the result as well");
  const Tensor<T> one(y.shape(), y.device());
  on(y.device(), [&](auto device) { kernels::fill(device, one.data(), T(1.0F), Index{1}); });
  backward(y, one, options);
}

}  // namespace gram
