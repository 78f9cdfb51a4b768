// SPDX-License-Identifier: MIT
#include "gram/train/meter.hpp"
#include "both_devices.hpp"

using namespace gram;
namespace {

template <class T>
void check_meters(const Tensor<T>& loss, const std::vector<Tensor<T>>& logits,
                  const Tensor<std::int64_t>& labels) {
  Meter here, there;
  std::vector<Tensor<T>> moved;
  for (const Tensor<T>& z : logits) moved.push_back(z.to(Device::cuda()));
  for (int i = 0; i < 2; ++i) {
    here.add(loss, logits, labels);
    there.add(loss.to(Device::cuda()), moved, labels.to(Device::cuda()));
  }
  CHECK(there.images() == here.images());
  CHECK(there.loss() == here.loss());
  CHECK(there.accuracy() == here.accuracy());
  CHECK(there.head_accuracy() == here.head_accuracy());
}

TEST_CASE_TEMPLATE("a meter counts on the device what it counts on the CPU", T, float, double, bf16) {
  for (const Shape& shape : {Shape{1, 1}, Shape{5, 3}, Shape{300, 10}, Shape{33, 100}}) {
    std::vector<Tensor<T>> logits;
    for (std::uint64_t head = 0; head < 3; ++head) logits.push_back(converted<T>(randn<float>(shape, head)));
    const auto labels = generate<std::int64_t>({shape[0]}, [&](Index i) { return i * 7 % shape[1]; });
    check_meters<T>(full<T>({}, T(1.25F)), logits, labels);
    check_meters<T>(full<T>({}, T(0.5F)), {logits[1]}, labels);
  }
}

TEST_CASE("among equals the first one is the prediction, as are values that are no numbers nowhere") {
  const float nan = std::nanf("");
  const Tensor<float> z({5, 3}, {1, 1, 0, 0, 2, 2, nan, 1, 2, 0, nan, 1, nan, nan, nan});
  for (const std::int64_t label : {0, 1, 2})
    check_meters<float>(full<float>({}, 1), {z}, full<std::int64_t>({5}, label));
}

TEST_CASE("uploads arrive in order, whatever the host does with its memory") {
  cuda::Upload upload(Device::cuda(), 1000 * sizeof(float));
  Tensor<float> host({1000});
  std::vector<Tensor<float>> there;
  for (int i = 0; i < 5; ++i) {
    std::fill(host.span().begin(), host.span().end(), static_cast<float>(i));
    there.emplace_back(host.shape(), Device::cuda());
    upload.copy(host.data(), there.back().data(), 1000 * sizeof(float));
  }
  for (int i = 0; i < 5; ++i)
    CHECK(test::identical(there[static_cast<std::size_t>(i)].to(Device::cpu()),
                          full<float>({1000}, static_cast<float>(i))));
  CHECK(test::error_of([&] { upload.copy(host.data(), there[0].data(), 4004); }) ==
        "Upload::copy: 4004 bytes, but there is room for 4000");
}

TEST_CASE("devices have names on the command line") {
  CHECK(parse_device("cpu") == Device::cpu());
  CHECK(parse_device("cuda") == Device::cuda());
  CHECK(parse_device("cuda:0") == Device::cuda());
  CHECK(test::error_of([] { (void)parse_device("cuda:99"); }).starts_with("Device::cuda(99): "));
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x"})
    CHECK(test::error_of([&] { (void)parse_device(name); }) ==
          text("device ", printable(name), " is none of cpu, cuda, cuda:0, cuda:1, .."));
}

}  // namespace
