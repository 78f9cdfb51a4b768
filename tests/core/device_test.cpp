// SPDX-License-Identifier: MIT
#include "gram/core/device.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("the CPU is a device; CUDA is refused in a program without it") {
  CHECK(Device::cpu() == Device::cpu());
  CHECK(Device::cpu().kind() == Device::Kind::cpu);
  CHECK(to_text(Device::cpu()) == "cpu");
  CHECK_THROWS_AS(Device::cuda(), DeviceError);
  CHECK(test::error_of([] { Device::cuda(1); }) ==
        "Device::cuda(1): this program has no CUDA backend; link gram::cuda");
}

TEST_CASE("on calls the function with the tag of the device and returns its value") {
  CHECK(on(Device::cpu(), [](auto device) { return std::same_as<decltype(device), Cpu>; }));
}
