// SPDX-License-Identifier: MIT
#include <gram/ops/linear.hpp>
#include <gram/tensor/create.hpp>

/// With an argument, the program must have the CUDA backend.
int main(int argc, char**) {
  if ((argc > 1) != (gram::cuda::runtime != nullptr)) return 2;
  auto w = gram::ones<float>({2, 3});
  w.set_requires_grad();
  const auto y = gram::linear(gram::ones<float>({4, 3}), w, {});
  gram::backward(y, gram::ones<float>({4, 2}));
  return w.grad().at({1, 2}) == 4.0F ? 0 : 1;
}
