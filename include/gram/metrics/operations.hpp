// SPDX-License-Identifier: MIT
// Parameters and multiply-accumulates of a network, layer by layer.
#pragma once
#include <algorithm>
#include <set>

#include "gram/nn/kept_mode.hpp"
#include "gram/nn/trace.hpp"
#include "gram/tensor/create.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// What a network costs for one batch. Multiply-accumulates are those of the textbook form, as published
/// tables count them.
struct OperationCount {
  std::vector<LayerCall>
      layers;  ///< in the order of their calls, then parameters that belong to no layer of their own
  Index parameters = 0;
  Index products = 0;  ///< convolutions and linear layers
  Index norms = 0;     ///< batch norm, two operations to an element
  Index matmuls = 0;   ///< products between activations: attention, Gram matrices
  Index executed = 0;  ///< what is executed, products and matmuls; less than their sum where forms are fused
};

/// Runs the model once, in evaluation, on zeros of this shape (N, H, W, C) and writes down what its layers
/// do. The model is left in the mode it was in.
template <Scalar T, class Model>
OperationCount count_operations(Model& model, const Shape& input) {
  OperationCount count;
  {
    const KeptMode kept(model);
    eval(model);
    const NoGrad off;
    CallLog log;
    model(zeros<T>(input));
    count.layers = log.calls();
  }

  std::set<std::string> seen;
  for (const LayerCall& call : count.layers) {
    seen.insert(call.path);
    count.products += call.products;
    count.norms += call.norms;
    count.matmuls += call.matmuls;
    count.executed += call.executed;
  }
  std::set<const void*> shared;
  for_each_parameter(model, [&](const std::string& name, const auto& parameter) {
    if (!shared.insert(parameter.data()).second) return;
    count.parameters += parameter.size();
    const std::string layer = layer_path(name);
    if (layer.empty() || !seen.contains(layer))
      count.layers.push_back(
          {.path = name, .kind = "parameter", .output = parameter.shape(), .parameters = parameter.size()});
  });
  return count;
}

}  // namespace gram
