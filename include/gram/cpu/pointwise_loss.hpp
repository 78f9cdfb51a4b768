// SPDX-License-Identifier: MIT
// Losses that are a sum over elements: binary cross-entropy with logits, KL divergence of log-probabilities.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/math.hpp"
#include "gram/cpu/panel.hpp"
#include "gram/kernels/pointwise_loss.hpp"

namespace gram::cpu {

/// a, b: logits and targets, or log-probabilities and those of the target. da, db: gradients with respect to
/// these.
template <class T>
struct PointwiseLoss {
  double (*sum)(Index n, const T* a, const T* b);
  void (*grad_a)(Index n, const T* a, const T* b, accum_t<T> scale, T* da, bool add);
  void (*grad_b)(Index n, const T* a, const T* b, accum_t<T> scale, T* db, bool add);
};
template <class T>
struct PointwiseLossTable {
  PointwiseLoss<T> binary_cross_entropy, kl_divergence;

  const PointwiseLoss<T>& operator[](kernels::PointwiseLoss kind) const {
    return kind == kernels::PointwiseLoss::kl_divergence ? kl_divergence : binary_cross_entropy;
  }
};
template <class T>
const PointwiseLossTable<T>& pointwise_loss_table();

/// Elements to a block: partial sums in accum_t stay short, what lies above is added in double.
inline constexpr Index loss_block = 4096;

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/pointwise_loss.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::PointwiseLossTable<T>& gram::cpu::pointwise_loss_table() {
  return GRAM_SELECT(pointwise_loss_kernels<T>);
}
#endif

namespace gram::kernels {

/// loss = scale * sum of the loss over n elements
template <class T>
void pointwise_loss(Cpu, PointwiseLoss kind, const T* a, const T* b, T* loss, Index n, double scale) {
  const auto& kernel = cpu::pointwise_loss_table<T>()[kind];
  const Index blocks = ceil_div(n, cpu::loss_block);
  Scratch<double> partial(blocks);
  double* const sums = partial.data();
  parallel_for(n, cpu::loss_block, [&](Index begin, Index end) {
    sums[begin / cpu::loss_block] = kernel.sum(end - begin, a + begin, b + begin);
  });
  double total = 0;
  for (Index i = 0; i < blocks; ++i) total += sums[i];
  *loss = static_cast<T>(scale * total);
}

/// da = dy scale d loss / da, and db likewise; a null pointer where no gradient is wanted
template <class T>
void pointwise_loss_grad(Cpu, PointwiseLoss kind, const T* a, const T* b, const T* dy, GradientSink<T> da,
                         GradientSink<T> db, Index n, double scale) {
  const auto& kernel = cpu::pointwise_loss_table<T>()[kind];
  const auto factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  parallel_for(n, cpu::loss_block, [&](Index begin, Index end) {
    if (da.data) kernel.grad_a(end - begin, a + begin, b + begin, factor, da.data + begin, da.add);
    if (db.data) kernel.grad_b(end - begin, a + begin, b + begin, factor, db.data + begin, db.add);
  });
}

}  // namespace gram::kernels
