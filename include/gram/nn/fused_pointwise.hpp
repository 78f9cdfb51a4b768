// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/nn/pointwise.hpp"
#include "gram/ops/shape.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// The results of several pointwise layers of one size on the same x (..., I), each (..., O), by one product
/// with the weights of all layers side by side: x is read once, and the gradients with respect to x are
/// summed inside the product. Reads layer(owner) of each owner.
template <class Owner, class F, Scalar T>
std::vector<Tensor<T>> pointwise_together(const LayerList<Owner>& owners, F&& layer, const Tensor<T>& x) {
  const Pointwise<T>& first = layer(owners[0]);
  const Index count = static_cast<Index>(owners.size());
  if (count == 1) return {first(x)};
  const Index groups = first.groups, out = first.weight.dim(0), in = first.weight.dim(1);
  std::vector<Tensor<T>> weights, biases;  // of a group: the rows of layer 0, of layer 1, ..
  for (const Owner& owner : owners) {
    weights.push_back(reshape(layer(owner).weight, {groups, out / groups, in}));
    if (first.bias.defined()) biases.push_back(reshape(layer(owner).bias, {groups, out / groups}));
  }
  const Tensor<T> weight = reshape(concat(weights, 1), {count * out, in});
  const Tensor<T> bias = biases.empty() ? Tensor<T>{} : reshape(concat(biases, 1), {count * out});
  const Tensor<T> y = located(first.weight, [&] {
    return groups == 1 ? linear(x, weight, bias) : grouped_linear(x, weight, bias, groups);
  });
  // (.., groups, layers, out / groups) -> layers, each with its channels together
  const Tensor<T> sorted = permute(reshape(y, {-1, groups, count, out / groups}), {2, 0, 1, 3});
  std::vector<Tensor<T>> results;
  for (Index i = 0; i < count; ++i) {
    results.push_back(reshape(rows(sorted, i, i + 1), x.shape().with(-1, out)));
    layer(owners[static_cast<std::size_t>(i)]).log(results.back().shape());
  }
  return results;
}

}  // namespace gram
