// SPDX-License-Identifier: MIT
// KL divergence of each classifier head from the consensus of all, row by row.
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/cpu/cross_entropy.hpp"

namespace gram::cpu {

template <class T>
struct DecorrelationTable {
  void (*consensus)(Index heads, const T* const* z, Index offset, Index n, accum_t<T>* log_p, accum_t<T>* p);
  double (*divergence)(Index n, const T* z, const accum_t<T>* log_p, const accum_t<T>* p);
  void (*divergence_grad)(Index n, const T* z, const accum_t<T>* p, accum_t<T> scale, T* dz, bool add);
};
template <class T>
const DecorrelationTable<T>& decorrelation_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/decorrelation.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::DecorrelationTable<T>& gram::cpu::decorrelation_table() {
  return GRAM_SELECT(decorrelation_kernels<T>);
}
#endif

namespace gram::kernels {

/// loss = scale * sum over rows and heads of KL(p || softmax(z_k)), p = softmax(mean of z_k); z holds `heads`
/// pointers to (rows, n)
template <class T>
void decorrelation(Cpu, Index heads, const T* const* z, T* loss, Index rows, Index n, double scale) {
  const auto& table = cpu::decorrelation_table<T>();
  const Index blocks = ceil_div(rows, cpu::loss_rows(n));
  Scratch<accum_t<T>> scratch(workers(blocks) * 2 * n);
  Scratch<double> values(rows);
  double* const value = values.data();
  parallel_blocks(blocks, [&](Index block, int worker) {
    accum_t<T>* const log_p = scratch.data() + worker * 2 * n;
    accum_t<T>* const p = log_p + n;
    const Index begin = block * cpu::loss_rows(n), end = std::min(rows, begin + cpu::loss_rows(n));
    for (Index row = begin; row < end; ++row) {
      table.consensus(heads, z, row * n, n, log_p, p);
      value[row] = 0;
      for (Index k = 0; k < heads; ++k) value[row] += table.divergence(n, z[k] + row * n, log_p, p);
    }
  });
  double total = 0;
  for (Index row = 0; row < rows; ++row) total += value[row];
  *loss = static_cast<T>(scale * total);
}

/// dz_k = dy scale (softmax(z_k) - p); sinks hold (data, add) of each head, a null pointer where no gradient
/// is wanted
template <class T>
void decorrelation_grad(Cpu, Index heads, const T* const* z, const T* dy, const GradientSink<T>* sinks,
                        Index rows, Index n, double scale) {
  const auto& table = cpu::decorrelation_table<T>();
  const auto factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  const Index blocks = ceil_div(rows, cpu::loss_rows(n));
  Scratch<accum_t<T>> scratch(workers(blocks) * 2 * n);
  parallel_blocks(blocks, [&](Index block, int worker) {
    accum_t<T>* const log_p = scratch.data() + worker * 2 * n;
    accum_t<T>* const p = log_p + n;
    const Index begin = block * cpu::loss_rows(n), end = std::min(rows, begin + cpu::loss_rows(n));
    for (Index row = begin; row < end; ++row) {
      table.consensus(heads, z, row * n, n, log_p, p);
      for (Index k = 0; k < heads; ++k)
        if (sinks[k].data)
          table.divergence_grad(n, z[k] + row * n, p, factor, sinks[k].data + row * n, sinks[k].add);
    }
  });
}

}  // namespace gram::kernels
