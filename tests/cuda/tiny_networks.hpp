// SPDX-License-Identifier: MIT
// Networks of the library that are small enough for the stand-in device.
#pragma once
#include <vector>

#include "gram/gram.hpp"

namespace gram::test {

template <Scalar T>
GaCifar<T> tiny_resnet() {
  Rng rng(1);
  return GaCifar<T>({.classes = 5,
                     .heads = 2,
                     .trunk = {.blocks = 1, .bottleneck = false},
                     .cardinality = 2,
                     .dim = 16,
                     .gram_dim = 8,
                     .contraction_groups = 2,
                     .embedding_groups = 2,
                     .embed = 8,
                     .attention_heads = 2,
                     .mlp_groups = 2},
                    rng);
}
template <Scalar T>
GaVit<T> tiny_vit(double drop = 0) {
  Rng rng(1);
  return GaVit<T>({.classes = 5,
                   .heads = 2,
                   .trunk = {.size = 16,
                             .patch = 4,
                             .channels = 16,
                             .depth = 2,
                             .heads = 2,
                             .drop = drop,
                             .drop_path = drop,
                             .init = Init::xavier},
                   .gram_dim = 8,
                   .contraction_groups = 2,
                   .embedding_groups = 2,
                   .embed = 8,
                   .attention_heads = 2,
                   .mlp_groups = 2},
                  rng);
}

/// The values of all parameters and buffers, on the CPU.
template <class Model>
std::vector<double> weights_of(Model& model) {
  std::vector<double> all;
  for_each_part(model, [&]<class Part>(const std::string&, Part& part) {
    if constexpr (detail::PartTraits<Part>::parameter || detail::PartTraits<Part>::buffer) {
      const auto here = converted<double>(part.detach().to(Device::cpu()));
      all.insert(all.end(), here.data(), here.data() + here.size());
    }
  });
  return all;
}

}  // namespace gram::test
