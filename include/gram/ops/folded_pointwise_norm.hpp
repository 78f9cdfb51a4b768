// SPDX-License-Identifier: MIT
// A 1x1 convolution with the batch norm behind it as one product. The result of the convolution, the largest
// map of a bottleneck block, is neither written nor kept.
//
// Notation: x (N, K) rows, W (C, K), y = x W^T the convolution, g (C) and b (C) weight and bias of the norm.
// The statistics of y follow from those of x, its mean m (K) and covariance S (K, K):
//     S = sum_n (x_n - m)^T (x_n - m) / N,    V = W S (C, K),
//     mean_c = W_c . m,    var_c = sum_k V_ck W_ck,    r_c = 1 / sqrt(var_c + epsilon),    s_c = g_c r_c.
// So z = [relu](s (y - mean) + b [+ residual]) is one product with scaled weights:
//     z = [relu](x (s W)^T + t [+ residual]),    t = b - (s W) m,
// with s W as it was rounded to the type of x, whatever that rounding was: the mean of z stays exact.
//
// Backward: with G = dz where the ReLU let it through (0 elsewhere) and h = r (y - mean),
//     db = sum_n G_n,    dg = sum_n G_n h_n,    dy_n = s (G_n - db / N - h_n dg / N).
// The weight gradient's product P = G^T x (C, K) has all that is needed of y, centred as Q = P - db m^T:
//     dg_c = r_c sum_k Q_ck W_ck
//     dW = dy^T x = s (Q - r dg V)                    since sum_n h_n x_n = r W (N S)
//     dx = dy W = G (s W) - (x - m) M - (s db / N) W,    M = W^T diag(s r dg / N) W (K, K)
//        = G (s W) + x (-M) + u,    u = sum_c (s_c r_c dg_c mean_c - s_c db_c) / N W_c.
// With running statistics in place of the batch's: t = b - mean s, dg = r (sum_k P W - mean db), dW = s P, dx
// = G (s W).
//
// What it costs beside the convolution's own 3 N C K multiplications: N K^2 / 2 for S, N K^2 for x M, and 2 C
// K^2. What it saves: the memory of y, writing y, reading it for statistics, for the result and twice for the
// gradient, and writing dy. That is worth it with many rows and with more outputs than inputs:
// folding_pays().
//
// Exactness. S is made of rows that a shift has moved near zero, so a large mean costs no digits. What is
// left is the difference that W S W^T may be between large terms: where outputs vary little because weights
// cancel what inputs have in common. With e the rounding of the sums (6e-8 for float and bf16) and q = sum_kl
// |W_ck S_kl W_cl| / var_c, the relative error of var_c was at most e (4 + q / 3) over 16 to 256 inputs: 2e-7
// for independent inputs (q = 1, as behind a norm and a ReLU, q = 10), 1e-5 at q = 1300, 2e-3 at 130 000;
// that of the ordinary way grows with the root of q, 7e-7 and 5e-6 there. Variances that rounding made
// negative count as 0.
#pragma once
#include "gram/cpu/covariance.hpp"
#include "gram/cpu/fold_norm.hpp"
#include "gram/cuda/covariance.hpp"
#include "gram/cuda/fold_norm.hpp"
#include "gram/ops/batch_norm.hpp"
#include "gram/ops/matmul.hpp"
#include "gram/tensor/create.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// Whether folding is worth it for `rows` pixels, `in` channels before and `out` after: what is saved is
/// twice as wide as what remains, and the small matrices are small beside the maps.
inline bool folding_pays(Index rows, Index in, Index out) { return out >= 2 * in && rows >= 8 * in; }

namespace detail {

/// The small matrices of the forward pass, in the type of sums.
template <Scalar A>
struct FoldedNorm {
  Tensor<A> weight;                       ///< W (C, K)
  Tensor<A> x_mean, spread;               ///< m and V, in training
  Tensor<A> mean, variance, rstd, scale;  ///< of y, and s

  kernels::FoldNormArguments<A> arguments(const Tensor<A>& gamma, const Tensor<A>& beta,
                                          double epsilon) const {
    return {weight.dim(0), weight.dim(1), weight.data(), gamma.data(),
            beta.data(),   epsilon,       x_mean.data(), spread.data()};
  }
  kernels::FoldNormStatistics<A> statistics() const {
    return {mean.data(), variance.data(), rstd.data(), scale.data()};
  }
};

}  // namespace detail

/// batch_norm(conv2d(x, W)) of a 1x1 convolution, then + residual and a ReLU when asked for, with the
/// convolution's result nowhere in memory. x (..., K), W (C, K) or (C, 1, 1, K), residual and result (...,
/// C); all else as in batch_norm, with which it agrees but for rounding (above: how much). Keeps x, and the
/// result where it ends with a ReLU. Throws ShapeError on extents that differ and on a single value per
/// channel in training, ArgumentError on options that are not there: a communicator, a ceiling.
template <Scalar T>
Tensor<T> folded_pointwise_norm(const Tensor<T>& x, const Tensor<T>& weight,
                                const Tensor<accum_t<T>>& norm_weight, const Tensor<accum_t<T>>& norm_bias,
                                const Tensor<accum_t<T>>& running_mean, const Tensor<accum_t<T>>& running_var,
                                const BatchNormOptions& options = {},
                                const Tensor<T>& residual = Tensor<T>{}) {
  using A = accum_t<T>;
  constexpr const char* name = "folded_pointwise_norm";
  require((weight.rank() == 2 || (weight.rank() == 4 && weight.dim(1) == 1 && weight.dim(2) == 1)) &&
              weight.size() > 0,
          name, ": weight has shape ", weight.shape(), "; (O, I) or (O, 1, 1, I), all positive, is needed");
  const Index in = weight.dim(-1), out = weight.dim(0);
  require(x.rank() >= 2 && x.dim(-1) == in, name, ": weight ", weight.shape(), " expects ", in,
          " input channels, input has shape ", x.shape());
  const Index rows = x.size() / in;
  const Shape shape = x.shape().with(-1, out);
  const auto check = [&](const char* argument, const Tensor<A>& t) {
    require(!t.defined() || t.shape() == Shape{out}, name, ": ", argument, " has shape ", t.shape(),
            ", but weight ", weight.shape(), " has ", out, " output channels");
  };
  check("the norm's weight", norm_weight), check("the norm's bias", norm_bias),
      check("running_mean", running_mean), check("running_var", running_var);
  require(!residual.defined() || residual.shape() == shape, name, ": residual has shape ", residual.shape(),
          ", but the result has shape ", shape, "; they must agree");
  require<ArgumentError>(running_mean.defined() == running_var.defined(), name,
                         ": one of running_mean and running_var is missing; give both or none");
  require<ArgumentError>(options.training || running_mean.defined(), name,
                         ": the running statistics are missing; only training works without them");
  require<ArgumentError>(!options.communicator && !std::isfinite(options.ceiling), name,
                         ": statistics over several processes and ceilings are for batch_norm");
  require(!options.training || rows > 1, name, ": x has shape ", x.shape(),
          ", but training expects more than 1 value per channel");

  require_one_device(name, {&x, &weight, &norm_weight, &norm_bias, &running_mean, &running_var, &residual});
  const bool training = options.training, relu = options.relu;
  constexpr GemmBatch one{.count = 1, .stride_a = 0, .stride_b = 0, .stride_c = 0};
  const Device here = x.device();
  Tensor<T> z(shape, here), scaled({out, in}, here), shift({out}, here);
  detail::FoldedNorm<A> f;
  {
    const NoGrad off;
    const FullPrecision exact;
    f.weight = converted<A>(weight.alias({out, in}));
    f.rstd = Tensor<A>({out}, here), f.scale = Tensor<A>({out}, here);
    if (training) {
      f.mean = Tensor<A>({out}, here), f.variance = Tensor<A>({out}, here), f.x_mean = Tensor<A>({in}, here);
      const Tensor<A> covariance({in, in}, here);
      on(here, [&](auto device) {
        kernels::covariance(device, x.data(), rows, in, f.x_mean.data(), covariance.data());
      });
      f.spread = matmul(f.weight, covariance);
    } else {
      f.mean = running_mean.clone(), f.variance = running_var.clone();
    }
    const bool moves = training && running_mean.defined() && !recomputing();
    const kernels::BatchNormRunning<A> running{moves ? running_mean.data() : nullptr,
                                               moves ? running_var.data() : nullptr, options.momentum,
                                               kernels::BatchNormRows{rows}};
    on(here, [&](auto device) {
      const auto arguments = f.arguments(norm_weight, norm_bias, options.epsilon);
      if constexpr (std::is_same_v<decltype(device), Cpu>) {
        kernels::fold_norm(device, arguments, f.statistics(), scaled.data(), shift.data());
        if (moves)
          kernels::batch_norm_running(device, f.mean.data(), f.variance.data(), running.rows, out,
                                      options.momentum, running.mean, running.variance);
      } else {
        kernels::fold_norm(device, arguments, f.statistics(), scaled.data(), shift.data(), running);
      }
    });
  }
  on(x.device(), [&](auto device) {
    kernels::gemm_batched(
        device, one, {rows, out, in}, x.data(), in, false, scaled.data(), in, true, z.data(), out,
        {.bias = shift.data(), .relu = relu, .residual = residual.data(), .base = z.data()});
  });

  return record(
      name, z, {x, weight, norm_weight, norm_bias, residual},
      [=, x = x.detach(), z = relu ? z : Tensor<T>{}, dx = x.gradient(), dw = weight.gradient(),
       dg = norm_weight.gradient(), db = norm_bias.gradient(),
       dresidual = residual.gradient()](const Tensor<T>& dz) {
        const NoGrad off;
        const Device at = dz.device();
        // G and its sums, in the pass that a norm makes over its gradient.
        const Tensor<T> G = !z.defined() || dz.sole_owner() ? dz : Tensor<T>(dz.shape(), at);
        const Tensor<A> sums({out}, at);
        on(at, [&](auto device) {
          kernels::batch_norm_grad(
              device,
              kernels::BatchNormArguments<T>{z.defined() ? z.data() : dz.data(), rows, out, f.mean.data(),
                                             f.rstd.data(), nullptr, nullptr, 1},
              kernels::BatchNormGradients<T>{
                  .dy = dz.data(),
                  .mask = z.defined() ? kernels::BatchNormMask::y : kernels::BatchNormMask::none,
                  .y = z.data(),
                  .training = false,
                  .dx = {},
                  .dresidual = z.defined() ? GradientSink<T>{G.data(), false} : GradientSink<T>{},
                  .dweight = {},
                  .dbias = {sums.data(), false}});
        });
        const bool through_statistics = dx && training;  // of x
        Tensor<A> M_and_u(through_statistics ? Shape{in + 1, in} : Shape{0}, at);
        if (dw || dg || through_statistics) {
          Tensor<A> P({out, in}, at), pull(through_statistics ? P.shape() : Shape{0}, at),
              push(through_statistics ? Shape{out} : Shape{0}, at);
          on(at, [&](auto device) {
            kernels::gemm_wide(device, {out, in, rows}, G.data(), out, true, x.data(), in, false, P.data(),
                               in);
            kernels::fold_norm_grad(
                device, f.arguments({}, {}, 0), f.statistics(),
                kernels::FoldNormGradients<T>{rows, P.data(), sums.data(), dw.sink(), dg.sink(),
                                              through_statistics ? pull.data() : nullptr, push.data()});
            if (!through_statistics) return;
            kernels::gemm_batched(device, one, {in, in, out}, f.weight.data(), in, true, pull.data(), in,
                                  false, M_and_u.data(), in);
            kernels::gemm_batched(device, one, {1, in, out}, push.data(), out, false, f.weight.data(), in,
                                  false, M_and_u.data() + in * in, in);
          });
        }
        if (db) db.add(sums);
        if (GradientSink<T> sink = dx.sink()) {
          if (training) {
            const Tensor<T> small = converted<T>(M_and_u);
            on(at, [&](auto device) {
              kernels::gemm_batched(device, one, {rows, in, in}, x.data(), in, false, small.data(), in, false,
                                    sink.data, in, {.bias = small.data() + in * in, .add = sink.add});
            });
            sink.add = true;
          }
          on(at, [&](auto device) {
            kernels::gemm_batched(device, one, {rows, in, out}, G.data(), out, false, scaled.data(), in,
                                  false, sink.data, in, {.add = sink.add});
          });
        }
        dresidual.add(G);
      });
}

}  // namespace gram
