// SPDX-License-Identifier: MIT
#include "gram/cpu/product_precision.hpp"

#include "gram/cpu/gemm.hpp"
#include "support.hpp"

using namespace gram;

TEST_CASE("products are float32 unless bf16 is asked for") {
  CHECK(product_precision() == Precision::float32);
  // 1 + 2^-10 is no bf16 number, it rounds to 1
  const Index n = 128;
  const auto a = full<float>({n, n}, 1 + 1.0F / 1024), b = full<float>({n, n}, 1.0F);
  const auto first_of_product = [&] {
    Tensor<float> c({n, n});
    kernels::gemm(Cpu{}, {n, n, n}, a.data(), n, false, b.data(), n, false, c.data(), n);
    return c.data()[0];
  };
  CHECK(first_of_product() == 128.125F);
  set_product_precision(Precision::bf16);
  CHECK(product_precision() == Precision::bf16);
  CHECK(first_of_product() == 128.0F);
  set_product_precision(Precision::float32);
  CHECK(first_of_product() == 128.125F);
}
