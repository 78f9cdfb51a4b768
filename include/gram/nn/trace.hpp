// SPDX-License-Identifier: MIT
// Where in a network a layer stands, and what a call of it costs.
#pragma once
#include <concepts>
#include <utility>
#include <vector>

#include "gram/nn/parameter.hpp"

namespace gram {

/// What one call of a layer did. Multiply-accumulates are those of the textbook form, the one published
/// tables count.
struct LayerCall {
  std::string path;  ///< "layer1.0.conv2"
  const char* kind;  ///< "Conv2d"
  Shape output;
  Shape input = {};  ///< of convolutions
  Index parameters = 0;
  Index products = 0;  ///< multiply-accumulates with weights: convolutions and linear layers
  Index norms = 0;     ///< batch norm, two operations to an element
  Index matmuls = 0;   ///< multiply-accumulates between activations: attention, Gram matrices
  Index executed =
      0;  ///< multiply-accumulates of the form that ran, where that is another one; else products + matmuls
};

/// While one of these lives, the layers called in this thread write down what they did.
class CallLog {
 public:
  CallLog() : before_(std::exchange(open_, this)) {}
  ~CallLog() { open_ = before_; }
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;

  const std::vector<LayerCall>& calls() const { return calls_; }
  void add(LayerCall call) {
    if (call.executed == 0) call.executed = call.products + call.matmuls;
    calls_.push_back(std::move(call));
  }
  /// The log of this thread, or null.
  static CallLog* open() { return open_; }

 private:
  static inline thread_local CallLog* open_ = nullptr;
  std::vector<LayerCall> calls_;
  CallLog* before_;
};

/// Anything that maps a tensor to a tensor.
// clang-format off
template <class Layer, class T>
concept LayerOn = std::invocable<Layer&, const Tensor<T>&>;
// clang-format on

/// The layer that a parameter belongs to: "layer3.0.conv2" for "layer3.0.conv2.weight".
inline std::string layer_path(const std::string& parameter_name) {
  const auto dot = parameter_name.rfind('.');
  return dot == std::string::npos ? "" : parameter_name.substr(0, dot);
}

/// f(), with the place of the layer put in front of the message of an error.
template <Scalar T, class F>
auto located(const Parameter<T>& parameter, F&& f) {
  try {
    return f();
  } catch (Error& error) {
    error.locate(layer_path(parameter.name));
    throw;
  }
}

}  // namespace gram
