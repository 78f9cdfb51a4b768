// SPDX-License-Identifier: MIT
#include "both_devices.hpp"

using namespace gram;
namespace {

/// y += x, which is available without any other family of kernels.
void add_to(const Tensor<float>& y, const Tensor<float>& x) {
  on(y.device(), [&](auto device) { kernels::accumulate(device, x.data(), y.data(), y.size()); });
}
std::vector<float> values(const Tensor<float>& x) {
  const auto here = x.to(Device::cpu());
  return {here.data(), here.data() + here.size()};
}

TEST_CASE("a captured step does nothing until it is replayed, and then the same each time") {
  const auto y = zeros<float>({3}, Device::cuda()), x = ones<float>({3}, Device::cuda());
  cuda::Graph graph = cuda::capture(Device::cuda(), [&] {
    const auto twice = zeros<float>({3}, Device::cuda());
    add_to(twice, x), add_to(twice, x);
    add_to(y, twice);
  });
  CHECK(values(y) == std::vector<float>{0, 0, 0});
  graph.replay();
  CHECK(values(y) == std::vector<float>{2, 2, 2});
  graph.replay(), graph.replay();
  CHECK(values(y) == std::vector<float>{6, 6, 6});
}

TEST_CASE("nobody else gets the memory of a graph while it lives") {
  const auto y = zeros<float>({100}, Device::cuda()), x = ones<float>({100}, Device::cuda());
  Tensor<float> kept;
  const auto before = memory_stats(Device::cuda());
  {
    cuda::Graph graph = cuda::capture(Device::cuda(), [&] {
      kept = zeros<float>({100}, Device::cuda());
      const auto passing = zeros<float>({100}, Device::cuda());
      add_to(passing, x), add_to(kept, passing), add_to(y, kept);
    });
    std::vector<Tensor<float>> others;
    for (int i = 0; i < 8; ++i) others.push_back(full<float>({100}, 9, Device::cuda()));
    graph.replay();
    for (const auto& other : others) CHECK(values(other) == std::vector<float>(100, 9));
    CHECK(values(kept) == std::vector<float>(100, 1));
    others.clear();
    kept = {};
    graph.replay();
    CHECK(values(y) == std::vector<float>(100, 2));
  }
  CHECK(memory_stats(Device::cuda()).in_use == before.in_use);
}

TEST_CASE("the host computes live numbers for every replay, in order") {
  const auto y = zeros<float>({1}, Device::cuda());
  int calls = 0;
  const float* first = nullptr;
  const double* second = nullptr;
  cuda::Graph graph = cuda::capture(Device::cuda(), [&] {
    first = cuda::current_capture->live([&] { return static_cast<float>(10 * ++calls); });
    second = cuda::current_capture->live([&] { return static_cast<double>(calls); });
    on(y.device(), [&](auto device) {
      kernels::accumulate(device, first, y.data(), 1);
      const Tensor<float> narrow({1}, y.device());
      kernels::convert(device, second, narrow.data(), 1);
      kernels::accumulate(device, narrow.data(), y.data(), 1);
    });
  });
  CHECK(calls == 0);
  graph.replay();
  CHECK(y.item() == 11);
  graph.replay();
  CHECK(calls == 2);
  CHECK(y.item() == 11 + 22);
}

TEST_CASE("hundreds of live numbers arrive") {
  constexpr int count = 1000;  // of more than one launch
  const auto y = zeros<double>({1}, Device::cuda());
  cuda::Graph graph = cuda::capture(Device::cuda(), [&] {
    for (int i = 1; i <= count; ++i) {
      const double* number = cuda::current_capture->live([i] { return static_cast<double>(i); });
      on(y.device(), [&](auto device) { kernels::accumulate(device, number, y.data(), 1); });
    }
  });
  graph.replay();
  CHECK(y.item() == count * (count + 1) / 2);
}

TEST_CASE("replays drop what plain steps would drop") {
  const auto x = ones<float>({7, 11}, Device::cuda());
  Rng plain(3), drawn(3);
  Tensor<float> y, z;
  cuda::Graph graph = cuda::capture(Device::cuda(), [&] {
    y = dropout(x, 0.5, drawn);
    z = drop_path(x, 0.5, drawn);
  });
  CHECK(drawn.position() == 0);
  for (int i = 0; i < 4; ++i) {
    graph.replay();
    CHECK(values(y) == values(dropout(x, 0.5, plain)));
    CHECK(values(z) == values(drop_path(x, 0.5, plain)));
    CHECK(drawn.position() == plain.position());
    if (i == 1)
      CHECK(values(dropout(x, 0.5, drawn)) == values(dropout(x, 0.5, plain)));  // a plain step between
  }
}

TEST_CASE("a step that reads values cannot be captured, and says what it tried") {
  const auto x = ones<float>({1}, Device::cuda());
  const auto attempt = [&](auto&& step) {
    return test::error_of([&] { (void)cuda::capture(Device::cuda(), step); });
  };
  const std::string rule =
      ": values on the device cannot be read or changed by the host while a CUDA graph is captured";
  CHECK(attempt([&] { (void)x.item(); }) == "Tensor::item" + rule);
  CHECK(attempt([&] { (void)x.to(Device::cpu()); }) == "Tensor::to" + rule);
  CHECK(attempt([&] { synchronize(x.device()); }) == "synchronize" + rule);
  CHECK(attempt([&] { (void)cuda::capture(Device::cuda(), [] {}); }) == "capture" + rule);
  CHECK(test::error_of([] { (void)cuda::capture(Device::cpu(), [] {}); }) ==
        "capture: cpu has no graphs; a CUDA device is needed");
  CHECK(x.item() == 1);  // and the device goes on
}

}  // namespace
