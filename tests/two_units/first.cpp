// SPDX-License-Identifier: MIT
// Everything in two translation units must link, and both must see one allocator and one thread setting.
#include "gram/gram.hpp"

std::size_t memory_seen_by_second_unit();
float sum_in_second_unit(const gram::Tensor<float>& x);

int main() {
  const auto x = gram::ones<float>({3, 5});
  gram::set_threads(1);
  const bool same = gram::memory_stats().in_use == memory_seen_by_second_unit() &&
                    sum_in_second_unit(x) == gram::sum(x).item();
  return same ? 0 : 1;
}
