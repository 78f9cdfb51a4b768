// SPDX-License-Identifier: MIT
// Convolution by its definition, forward and backward, and the shapes that its kernels are tried on.
#pragma once
#include <random>
#include <vector>

#include "gram/cpu/conv2d_shape.hpp"
#include "gram/kernels/conv2d.hpp"
#include "isa_and_threads.hpp"

namespace gram::test {

/// f(x, w, y) for every product of the convolution: the positions of its factors in x (N, H, W, C) and weight
/// (O, Kh, Kw, C/G), and of the sum it belongs to in y (N, H', W', O).
template <class F>
void for_each_product(const Conv2dShape& s, F&& f) {
  for (Index y = 0; y < s.y_size(); ++y) {
    const Index o = y % s.o, j = y / s.o % s.out_w(), i = y / (s.o * s.out_w()) % s.out_h(),
                n = y / (s.o * s.out_w() * s.out_h());
    for (Index a = 0; a < s.kh; ++a)
      for (Index b = 0; b < s.kw; ++b) {
        const Index u = i * s.stride.h - s.padding.h + a * s.dilation.h,
                    v = j * s.stride.w - s.padding.w + b * s.dilation.w;
        if (u < 0 || u >= s.h || v < 0 || v >= s.w) continue;
        for (Index c = 0; c < s.group_in(); ++c)
          f(((n * s.h + u) * s.w + v) * s.c + o / s.group_out() * s.group_in() + c,
            ((o * s.kh + a) * s.kw + b) * s.group_in() + c, y);
      }
  }
}

/// Random operands of a convolution and what comes of them, on top of `before` where that is asked for.
template <class T>
struct ConvProblem {
  explicit ConvProblem(const Conv2dShape& shape) : s(shape) {}

  Tensor<T> y(bool with_bias, bool add) const {
    std::vector<double> sums(static_cast<std::size_t>(s.y_size()));
    for_each_product(s, [&](Index i, Index k, Index o) { at(sums, o) += value(x, i) * value(weight, k); });
    return finished(sums, s.y_size(), add, [&](Index i) { return with_bias ? value(bias, i % s.o) : 0; });
  }
  /// y = epilogue(convolution), with those parts of the epilogue that are asked for.
  Tensor<T> finished_y(bool with_bias, bool with_residual, bool relu) const {
    std::vector<double> sums(static_cast<std::size_t>(s.y_size()));
    for_each_product(s, [&](Index i, Index k, Index o) { at(sums, o) += value(x, i) * value(weight, k); });
    return generate<T>({s.y_size()}, [&](Index i) {
      const double v =
          at(sums, i) + (with_bias ? value(bias, i % s.o) : 0) + (with_residual ? value(residual, i) : 0);
      return relu ? std::max(v, 0.0) : v;
    });
  }
  Conv2dEpilogue<T> epilogue(bool with_bias, bool with_residual, bool relu) const {
    return {with_bias ? bias.data() : nullptr, with_residual ? residual.data() : nullptr, relu};
  }
  Tensor<T> dx(bool add) const {
    std::vector<double> sums(static_cast<std::size_t>(s.x_size()));
    for_each_product(s, [&](Index i, Index k, Index o) { at(sums, i) += value(dy, o) * value(weight, k); });
    return finished(sums, s.x_size(), add, [](Index) { return 0; });
  }
  Tensor<T> dw(bool add) const {
    std::vector<double> sums(static_cast<std::size_t>(s.weight_size()));
    for_each_product(s, [&](Index i, Index k, Index o) { at(sums, k) += value(dy, o) * value(x, i); });
    return finished(sums, s.weight_size(), add, [](Index) { return 0; });
  }
  /// What a result of n elements holds before it is added to.
  Tensor<T> before(Index n) const { return randn<T>({n}, 5); }

  Conv2dShape s;
  Tensor<T> x = randn<T>({s.x_size()}, 1), weight = randn<T>({s.weight_size()}, 2), bias = randn<T>({s.o}, 3),
            dy = randn<T>({s.y_size()}, 4), residual = randn<T>({s.y_size()}, 6);

 private:
  static double& at(std::vector<double>& sums, Index i) { return sums[static_cast<std::size_t>(i)]; }
  static double value(const Tensor<T>& t, Index i) { return static_cast<double>(t.data()[i]); }
  template <class F>
  Tensor<T> finished(std::vector<double>& sums, Index n, bool add, F&& more) const {
    const Tensor<T> old = before(n);
    return generate<T>({n}, [&](Index i) { return at(sums, i) + more(i) + (add ? value(old, i) : 0); });
  }
};

template <class T>
constexpr double conv_tolerance = std::is_same_v<T, double>  ? 1e-13
                                  : std::is_same_v<T, float> ? 3e-6
                                                             : 2e-2;

inline std::string conv_text(const Conv2dShape& s) {
  return text("x (", s.n, ", ", s.h, ", ", s.w, ", ", s.c, "), weight (", s.o, ", ", s.kh, ", ", s.kw,
              "), stride ", s.stride, ", padding ", s.padding, ", dilation ", s.dilation, ", groups ",
              s.groups);
}

/// The problem with operands rounded to bf16: what is left between its results and those of kernels that
/// round is the order of their sums.
inline ConvProblem<float> rounded(ConvProblem<float> p) {
  for (Tensor<float>* t : {&p.x, &p.weight, &p.dy})
    *t = generate<float>(t->shape(), [&](Index i) { return static_cast<float>(bf16(t->data()[i])); });
  return p;
}

/// f(shape) for some 150 small convolutions with kernels, strides, paddings, dilations and groups of all
/// kinds.
template <class F>
void for_random_convolutions(unsigned seed, F&& f) {
  std::mt19937 random(seed);
  const auto size = [&](Index most) {
    return static_cast<Index>(random() % static_cast<unsigned>(most)) + 1;
  };
  for (int round = 0; round < rounds(150); ++round) {
    const Index groups = random() % 4 == 0 ? size(3) : 1;
    const Conv2dShape s{.n = size(3),
                        .h = size(10),
                        .w = size(10),
                        .c = groups * size(24),
                        .o = groups * size(40),
                        .kh = size(3),
                        .kw = size(4),
                        .stride = {size(3), size(3)},
                        .padding = {size(4) - 1, size(4) - 1},
                        .dilation = {size(2), size(2)},
                        .groups = groups};
    CAPTURE(conv_text(s));
    if (s.h + 2 * s.padding.h >= s.reach_h() && s.w + 2 * s.padding.w >= s.reach_w()) f(s);
  }
}

}  // namespace gram::test
