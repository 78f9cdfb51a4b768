// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/normalize.hpp"
#include "gram/ops/reduce.hpp"

namespace gram {

struct CosineRegularizerOptions {
  Index pairs = 12;  ///< n
  double weight = 0.1;
};

/// weight / n times the mean, over images and pairs of tokens, of sum_{k=1..n} cos(A_k, A_{k+1}), the cosine
/// similarity over the heads of consecutive attention maps; to be added to a loss, a scalar. maps: A_k
/// (N, heads, L, L) of all blocks, in their order. Pushes blocks to attend differently. In a Refiner-ViT
/// every second pair is one map twice, with similarity 1 and no gradient. Source: the released code of
/// arXiv:2106.03714, which takes n = 12 with token labels and 2 without. Throws ArgumentError unless there
/// are n pairs, ShapeError when shapes differ.
template <Scalar T>
Tensor<T> cosine_regularizer(const std::vector<Tensor<T>>& maps, CosineRegularizerOptions options = {}) {
  const auto n = static_cast<std::size_t>(options.pairs);
  require<ArgumentError>(options.pairs >= 1 && n < maps.size(), "cosine_regularizer: ", options.pairs,
                         " pairs of consecutive maps, but there are ", maps.size(), " maps");
  for (std::size_t k = 0; k <= n; ++k)
    require(maps[k].rank() == 4 && maps[k].shape() == maps[0].shape(), "cosine_regularizer: map ", k,
            " has shape ", maps[k].shape(), ", but map 0 has ", maps[0].shape(),
            "; all must be (N, heads, L, L) alike");
  const auto unit = [&](std::size_t k) { return l2_normalize(maps[k], 1, 1e-8); };
  Tensor<T> total, before = unit(0);
  for (std::size_t k = 1; k <= n; ++k) {
    const bool same = maps[k].data() == maps[k - 1].data();  // handed on by a share block
    const Tensor<T> now = same ? before : unit(k);
    const Tensor<T> similarity = sum(mul(before, now), {1});
    total = total.defined() ? add(total, similarity) : similarity;
    before = now;
  }
  return mul(mean(total), options.weight / static_cast<double>(options.pairs));
}

}  // namespace gram
