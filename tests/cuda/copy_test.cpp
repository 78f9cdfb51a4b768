// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

TEST_CASE_TEMPLATE("copies to the device and back change nothing", T, float, double, bf16) {
  for (const Index n : {0, 1, 31, 1000, 70001}) {
    const auto x = converted<T>(randn<float>({n}, 3));
    const auto there = x.to(Device::cuda());
    CHECK(there.device() == Device::cuda());
    CHECK(test::identical(there.to(Device::cpu()), x));
    CHECK(test::identical(there.clone().to(Device::cpu()), x));
  }
}

TEST_CASE("fills and conversions are those of the CPU") {
  const auto x = randn<float>({777}, 5);
  CHECK(test::identical(converted<bf16>(x.to(Device::cuda())).to(Device::cpu()), converted<bf16>(x)));
  CHECK(test::identical(converted<double>(x.to(Device::cuda())).to(Device::cpu()), converted<double>(x)));
  CHECK(test::identical(full<std::int64_t>({3, 5}, 7, Device::cuda()).to(Device::cpu()),
                        full<std::int64_t>({3, 5}, 7)));
}

TEST_CASE_TEMPLATE("gradients that meet are added", T, float, double, bf16) {
  const auto twice = [](const std::vector<Tensor<T>>& x) { return concat<T>({x[0], x[0]}, 0); };
  CHECK(test::device_distance<T>(twice, test::random_inputs<T>({{5, 3}})) <= test::device_tolerance<T>);
}

TEST_CASE("values of another device are not read by accident") {
  const auto x = ones<float>({2}, Device::cuda());
  CHECK(test::error_of([&] { (void)x.span(); }) ==
        "Tensor::span: the tensor is on cuda:0; copy it with to(Device::cpu())");
  CHECK(test::error_of([&] { (void)x.at({0}); }) ==
        "Tensor::at: the tensor is on cuda:0; copy it with to(Device::cpu())");
  const auto map = ones<float>({1, 2, 2, 3}, Device::cuda());
  CHECK(test::error_of([&] { (void)channels_last(map); }) ==
        "Tensor::span: the tensor is on cuda:0; copy it with to(Device::cpu())");
  CHECK(test::error_of([&] {
          SideBySide<float>({1, 2, 2, 6}).add(map);
        }) == "SideBySide: tensors are on cpu and on cuda:0; one device is needed");
  CHECK(test::error_of([] { (void)Device::cuda(99); }).starts_with("Device::cuda(99): "));
}

TEST_CASE("blocks come back from the cache") {
  const auto before = memory_stats(Device::cuda());
  for (int i = 0; i < 10; ++i) (void)ones<float>({1000, 1000}, Device::cuda());
  const auto after = memory_stats(Device::cuda());
  CHECK(after.allocations == before.allocations + 10);
  CHECK(after.system_requests <= before.system_requests + 1);
  CHECK(after.in_use == before.in_use);
}

}  // namespace
