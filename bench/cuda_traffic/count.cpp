// SPDX-License-Identifier: MIT
// What a step of a network asks of a GPU, counted without one: kernels and calls of libraries, bytes that
// each has to move, operations, and from these the least time on an H200.
//
//     bench_cuda_traffic vit_s train 256 [all]
//
// Kernels run on the stand-in device of tests/cuda/emulated, in a build that tells of every access to memory;
// each sector of 32 bytes that a kernel reads or writes counts once, as if its caches were perfect within a
// kernel and empty between two. Bytes are counted at two small batches and continued to the one asked for;
// grids are those of that batch. Products, convolutions and attention of the libraries count as their
// operands and results. It is a floor and a way to see passes that need not be; it says nothing about how
// near a kernel comes to the floor.
#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "../../tests/cuda/emulated/device_memory.hpp"
#include "../../tests/cuda/emulated/observer.hpp"
#include "gram/gram.hpp"

using namespace gram;

namespace {

constexpr double bandwidth = 4.3e12, products = 790e12;  // copy, bf16 product, as measured on an H200
constexpr int sector = 32;

struct Work {
  std::string name;
  double bytes = 0, operations = 0;
  double blocks = 0;  ///< of kernels
};

/// The name of a kernel without namespaces and parameters.
std::string kernel_name(const void* kernel) {
  Dl_info info;
  if (!dladdr(kernel, &info) || !info.dli_sname) return "kernel without a name";
  char* const whole = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, nullptr);
  std::string name = whole ? whole : info.dli_sname;
  std::free(whole);
  for (const char* part : {"void ", "gram::cuda::", "gram::kernels::", "gram::"})
    for (std::size_t at; (at = name.find(part)) != std::string::npos;)
      name.erase(at, std::string_view(part).size());
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}

class Counter final : public emulated::Observer {
 public:
  bool begin(const void* kernel, emulated::dim3 blocks, emulated::dim3) override {
    work.push_back({kernel_name(kernel), 0, 0, static_cast<double>(blocks.x) * blocks.y * blocks.z});
    ++launch_;
    running_ = runs;
    return runs || blocks.x * blocks.y * blocks.z == 1;  // the host may ask for what a single block finds
  }
  void end() override { running_ = false; }
  void library(const emulated::LibraryWork& w) override {
    work.push_back({w.name, w.bytes, w.operations, 0});
  }

  void touch(std::uintptr_t address, std::size_t bytes, std::vector<unsigned>& seen) {
    if (!running_) return;
    const auto at = address - reinterpret_cast<std::uintptr_t>(memory_.base());
    if (at >= emulated::DeviceMemory::capacity) return;
    for (std::size_t s = at / sector; s <= (at + bytes - 1) / sector; ++s) {
      if (s >= seen.size()) seen.resize(2 * s + 1024);
      if (std::exchange(seen[s], launch_) != launch_) work.back().bytes += sector;
    }
  }
  void read(std::uintptr_t address, std::size_t bytes) { touch(address, bytes, read_); }
  void write(std::uintptr_t address, std::size_t bytes) { touch(address, bytes, written_); }

  std::vector<Work> work;
  bool runs = true;

 private:
  emulated::DeviceMemory& memory_ = emulated::DeviceMemory::instance();
  std::vector<unsigned> read_, written_;  // the last launch that touched a sector
  unsigned launch_ = 0;
  bool running_ = false;
};
Counter* counter = nullptr;

/// The work of a step on `batch` images, after one that finds no memory cached.
std::vector<Work> count_step(const std::string& name, bool training, Index batch, bool runs, bool fold) {
  Rng rng(1);
  models::Model<bf16> model = models::create<bf16>(name, {}, rng);
  const models::Info info = model.info();
  move_to(model, Device::cuda());
  training ? train(model) : fuse_for_inference(model);
  fold_batch_norms(model, fold);
  const auto x = converted<bf16>(zeros<float>({batch, info.size.h, info.size.w, 3})).to(Device::cuda());
  const auto labels = zeros<std::int64_t>({batch}).to(Device::cuda());
  AdamW<bf16> optimizer(training ? named_parameters<bf16>(model) : ParameterList<bf16>(), {.lr = 1e-5});
  const auto step = [&] {
    if (!training) {
      const NoGrad off;
      model(x);
      return;
    }
    optimizer.zero_grad();
    backward(gramian_loss(model(x), labels, {.lambda = -0.8}));
    optimizer.step();
  };
  counter->runs = false;
  step();
  counter->runs = runs;
  counter->work.clear();
  step();
  return counter->work;
}

/// Bytes of kernels at `batch` images, by a straight line through those at a and b; calls are matched by name
/// and order.
std::vector<Work> continued(const std::vector<Work>& at_a, const std::vector<Work>& at_b,
                            std::vector<Work> all, double a, double b, double batch) {
  std::map<std::string, std::vector<const Work*>> small[2];
  for (const Work& w : at_a) small[0][w.name].push_back(&w);
  for (const Work& w : at_b) small[1][w.name].push_back(&w);
  std::map<std::string, std::size_t> seen;
  for (Work& w : all) {
    if (w.blocks == 0) continue;  // of a library: known at this batch
    const std::size_t i = seen[w.name]++;
    if (i >= small[0][w.name].size() || i >= small[1][w.name].size()) {
      w.name += " (not counted)";
      continue;
    }
    const double bytes_a = small[0][w.name][i]->bytes, bytes_b = small[1][w.name][i]->bytes;
    w.bytes = bytes_b + (bytes_b - bytes_a) / (b - a) * (batch - b);
  }
  return all;
}

double milliseconds(const Work& w) { return 1e3 * std::max(w.bytes / bandwidth, w.operations / products); }

void print(const std::vector<Work>& all, bool each) {
  struct Sum : Work {
    int count = 0;
    double least_blocks = 1e12, time = 0;
  };
  std::map<std::string, Sum> sums;
  Sum total;
  for (const Work& w : all)
    for (Sum* sum : {&sums[w.name], &total}) {
      sum->bytes += w.bytes, sum->operations += w.operations, sum->time += milliseconds(w);
      sum->least_blocks = std::min(sum->least_blocks, w.blocks);
      ++sum->count;
    }
  if (each)
    for (const Work& w : all)
      std::printf("%9.1f MB %9.1f GFLOP %8.0f blocks %7.1f us  %s\n", w.bytes * 1e-6, w.operations * 1e-9,
                  w.blocks, 1e3 * milliseconds(w), w.name.c_str());
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [name, sum] : sums) order.emplace_back(-sum.time, name);
  std::sort(order.begin(), order.end());
  std::printf("calls        GB     TFLOP       ms  fewest blocks\n");
  for (const auto& [time, name] : order) {
    const Sum& s = sums[name];
    std::printf("%5d %9.3f %9.3f %8.3f %8.0f  %s\n", s.count, s.bytes * 1e-9, s.operations * 1e-12, s.time,
                s.least_blocks, name.c_str());
  }
  std::printf("%5d %9.3f %9.3f %8.3f           together\n", total.count, total.bytes * 1e-9,
              total.operations * 1e-12, total.time);
}

void read(std::uintptr_t at, std::size_t bytes) {
  if (counter) counter->read(at, bytes);
}
void written(std::uintptr_t at, std::size_t bytes) {
  if (counter) counter->write(at, bytes);
}

}  // namespace

#define GRAM_ACCESS(bytes)                                                  \
  void __asan_load##bytes##_noabort(std::uintptr_t at) { read(at, bytes); } \
  void __asan_store##bytes##_noabort(std::uintptr_t at) { written(at, bytes); }
extern "C" {
GRAM_ACCESS(1)
GRAM_ACCESS(2)
GRAM_ACCESS(4)
GRAM_ACCESS(8)
GRAM_ACCESS(16)
void __asan_loadN_noabort(std::uintptr_t at, std::size_t bytes) { read(at, bytes); }
void __asan_storeN_noabort(std::uintptr_t at, std::size_t bytes) { written(at, bytes); }
void __asan_handle_no_return() {}
void __asan_before_dynamic_init(const char*) {}
void __asan_after_dynamic_init() {}
}

int main(int count, char** arguments) try {
  if (count < 4) throw ArgumentError("usage: bench_cuda_traffic NETWORK train|infer BATCH [fold] [all]");
  const std::string name = arguments[1];
  const bool training = std::string_view(arguments[2]) == "train";
  const Index batch = std::atoll(arguments[3]), few = std::min<Index>(batch, 12),
              more = few + 4;  // enough that no grid grows any more
  const auto has = [&](std::string_view word) {
    return std::find(arguments + 4, arguments + count, word) != arguments + count;
  };
  emulated::DeviceMemory::capacity = std::size_t{1} << 38;
  emulated::DeviceMemory::poisoned = false;
  Counter made;
  emulated::observer = counter = &made;
  const auto at_few = count_step(name, training, few, true, has("fold"));
  const auto at_more = count_step(name, training, more, true, has("fold"));
  const auto grids = count_step(name, training, batch, false, has("fold"));
  std::printf("%s, %s, batch %lld, bf16\n", name.c_str(), arguments[2], static_cast<long long>(batch));
  print(continued(at_few, at_more, grids, static_cast<double>(few), static_cast<double>(more),
                  static_cast<double>(batch)),
        has("all"));
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
