// SPDX-License-Identifier: MIT
#include "gram/gram.hpp"

std::size_t memory_seen_by_second_unit() { return gram::memory_stats().in_use; }
float sum_in_second_unit(const gram::Tensor<float>& x) { return gram::sum(x).item(); }
