// SPDX-License-Identifier: MIT
// Attention of ViT-S, class attention of all classifier heads together against one after the other in the
// textbook form, and the Gram vector: milliseconds, and the fraction of the floor (the products at the
// machine's measured limit).
//   g++ -std=c++20 -O3 -fopenmp -I include bench/attention.cpp -o attention && ./attention [seconds per
//   measurement]
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gram/ops/attention.hpp"
#include "gram/ops/class_attention_textbook.hpp"
#include "gram/ops/gram.hpp"
#include "measure.hpp"

using namespace gram;
using bench::best_time;
using bench::fma_peak;

namespace {

struct Bench {
  double budget, peak;

  /// `forward` makes a result; the operations of the products forward and backward.
  template <class F>
  void line(const char* name, double forward_operations, double backward_operations, F&& forward) const {
    const double ahead = best_time(budget, [&] {
      const NoGrad off;
      forward();
    });
    const Tensor<float> dy = [&] {
      const NoGrad off;
      return randn<float>(forward().shape(), 1);
    }();
    const auto y = forward();
    const double back = best_time(budget, [&] { backward(y, dy, {.retain_graph = true}); });
    std::printf("%-52s forward %7.2f ms (%3.0f %%)   backward %7.2f ms (%3.0f %%)\n", name, 1e3 * ahead,
                100 * forward_operations / peak / ahead, 1e3 * back, 100 * backward_operations / peak / back);
  }

  void self_attention(const char* name, Index N, Index L, Index heads, Index d) const {
    auto qkv = randn<float>({N, L, 3 * heads * d}, 1);
    qkv.set_requires_grad();
    const double product = 2.0 * static_cast<double>(N * heads * L * L * d);
    line(name, 2 * product, 5 * product, [&] { return attention(qkv, {.heads = heads}); });
  }

  void class_heads(const char* name, Index N, Index C, Index L, Index E, Index heads, Index M) const {
    std::uint64_t seed = 1;
    const auto make = [&](const Shape& shape, double scale) {
      auto x = randn<float>(shape, seed++);
      for (float& v : x.span()) v *= static_cast<float>(scale);
      return x.set_requires_grad();
    };
    const double s = 1 / std::sqrt(static_cast<double>(C));
    const Tensor<float> tokens = make({N, L, C}, 1);
    std::vector<Tensor<float>> queries;
    std::vector<ClassAttentionWeights<float>> weights;
    for (Index m = 0; m < M; ++m) {
      queries.push_back(make({N, C}, 1));
      weights.push_back({make({C}, 1),
                         make({C}, 1),
                         make({E, C}, s),
                         {},
                         make({E, C}, s),
                         {},
                         make({E, C}, s),
                         {},
                         make({C, E}, s),
                         make({C}, 1)});
    }
    const auto n = static_cast<double>(N), rows = static_cast<double>(M * heads),
               map = static_cast<double>(L * C);
    const double weight_products = 2 * n * 4 * static_cast<double>(M * E * C), mixes = 2 * n * 2 * rows * map;
    std::printf("%s\n", name);
    line("  re-associated, all classifiers together", weight_products + mixes, 2 * (weight_products + mixes),
         [&] { return class_attention(tokens, queries, weights, {.heads = heads}); });
    const double textbook =
        2 * n * static_cast<double>(M * E) * (2 * static_cast<double>(C) * static_cast<double>(L + 1));
    line("  textbook, one after the other", textbook, 2 * textbook, [&] {
      std::vector<Tensor<float>> all;
      for (std::size_t m = 0; m < weights.size(); ++m)
        all.push_back(class_attention_textbook(tokens, queries[m], weights[m], {.heads = heads}));
      return concat(all, 0);
    });
  }

  void gram_map(const char* name, Index N, Index size, Index g) const {
    auto x = randn<float>({N, size, size, g}, 1);
    x.set_requires_grad();
    const double full = 2.0 * static_cast<double>(N * size * size * g * g);
    line(name, full / 2, full, [&] { return gram_vector(x); });
  }
};

}  // namespace

int main(int argc, char** argv) {
  const double budget = argc > 1 ? std::atof(argv[1]) : 0.5;
  const Bench bench{budget, fma_peak(budget)};
  std::printf(
      "%s, %d threads, multiply-adds %.0f GFLOP/s; in brackets: share of that limit the products reach\n",
      isa_name(isa()), threads(), bench.peak / 1e9);
  bench.self_attention("self-attention ViT-S (N 8, L 197, 6 heads of 64)", 8, 197, 6, 64);
  bench.self_attention("self-attention 32x32 (N 128, L 64, 6 heads of 32)", 128, 64, 6, 32);
  bench.class_heads("class attention (N 8, C 1024, L 196, E 256, 8 heads, M 5)", 8, 1024, 196, 256, 8, 5);
  bench.class_heads("class attention (N 128, C 128, L 64, E 8, 8 heads, M 3)", 128, 128, 64, 8, 8, 3);
  bench.gram_map("Gram vector (N 8, 14 x 14, g 192)", 8, 14, 192);
  bench.gram_map("Gram vector (N 128, 8 x 8, g 32)", 128, 8, 32);
}
