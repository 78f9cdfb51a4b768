// SPDX-License-Identifier: MIT
// The plan of every problem that was met on a device. When a problem is new, cuDNN's first proposals are
// tried and timed on the operands at hand, as many as set_product_tuning() says, and the file of plans is
// asked before.
#pragma once
#include <array>
#include <compare>
#include <optional>

#include "gram/cuda/context.cuh"
#include "gram/cuda/cudnn_plan.cuh"
#include "gram/cuda/device_times.cuh"
#include "gram/cuda/fastest.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/refusal.hpp"

namespace gram::cuda {

/// What a plan is for: the name of an operation and the numbers that it depends on.
struct PlanKey {
  std::string_view operation;
  std::array<Index, 22> sizes{};

  auto operator<=>(const PlanKey&) const = default;
  std::string to_text() const {
    std::string name(operation);
    std::size_t count = sizes.size();
    while (count > 0 && sizes[count - 1] == 0) --count;
    for (std::size_t i = 0; i < count; ++i) name += text(" ", sizes[i]);
    return name;
  }
};

class PlanCache {
 public:
  static PlanCache& of(Cuda device) {
    static std::mutex mutex;
    static auto* const caches = new std::map<int, std::unique_ptr<PlanCache>>;
    const std::scoped_lock lock(mutex);
    auto& cache = (*caches)[device.index];
    if (!cache) cache.reset(new PlanCache(device));
    return *cache;
  }

  /// The plan of a problem, or null when cuDNN has none. make_graph() -> CudnnGraph is called when the
  /// problem is new; the pointers are those of its tensors, and what results point to is written.
  template <class MakeGraph>
  const CudnnPlan* find(const PlanKey& key, bool rounding, const MakeGraph& make_graph,
                        const std::vector<void*>& pointers) {
    const auto at = plans_.find(key);
    if (at != plans_.end()) return at->second.get();
    auto& plan = plans_[key];
    std::string reason = "no engine keeps the rules";
    try {
      auto graph = std::make_unique<CudnnGraph>(make_graph());
      graph->finish(handle_);
      plan = choose(key, rounding, *graph, pointers);
      if (plan) graphs_.push_back(std::move(graph));
    } catch (const DeviceError& error) {  // operations that cuDNN does not take
      reason = error.what();
    }
    if (!plan) note_refusal("cuDNN", key.to_text(), reason);
    return plan.get();
  }

  void run(const CudnnPlan& plan, const std::vector<void*>& pointers) {
    DeviceScratch<std::uint8_t> workspace(device_, plan.workspace);
    void* const memory = workspace.data();
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, plan.ids)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, memory)
        .finish("operands");
    check_cudnn(cudnnBackendExecute(handle_, plan.plan.handle(), pack.handle()), "execution");
  }

  /// See below.
  template <class First, class Second>
  bool first_is_faster(const PlanKey& key, const First& first, const Second& second) {
    const auto known = faster_.find(key);
    if (known != faster_.end()) return known->second;
    const std::string name = problem(key);
    const PlanChoice* const kept = plan_file().find(name);
    bool faster = kept && kept->engine == 0;
    if (!kept) {
      if (gemm_settings.candidates < 2 || capturing(device_)) return false;
      faster = fastest(2, [&](std::size_t way, int runs) {
                 return way == 0 ? times(first, runs) : times(second, runs);
               }) == std::size_t{0};
      plan_file().keep(name, {.engine = faster ? 0 : 1, .knobs = {}});
    }
    return faster_[key] = faster;
  }

 private:
  explicit PlanCache(Cuda device) : device_(device) {
    require<DeviceError>(!capturing(device),
                         "cuda: the first call of cuDNN cannot be captured; run the step once before");
    select(device);
    check_cudnn(cudnnCreate(&handle_), "cudnnCreate");
    check_cudnn(cudnnSetStream(handle_, stream(device)), "cudnnSetStream");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device.index), "cudaGetDeviceProperties");
    name_ = properties.name;
  }

  std::unique_ptr<CudnnPlan> choose(const PlanKey& key, bool rounding, CudnnGraph& graph,
                                    const std::vector<void*>& pointers) {
    const PlanTarget target{.handle = handle_};
    const std::string name = problem(key);
    const auto times_of = [&](const CudnnPlan& plan, int runs) {
      return times([&] { return run(plan, pointers), true; }, runs);
    };
    if (const PlanChoice* const known = plan_file().find(name)) try {
        CudnnPlan plan = plan_of(config_of(*known, graph.finish(), target), graph, target);
        if (capturing(device_) || !times_of(plan, 1).empty())
          return std::make_unique<CudnnPlan>(std::move(plan));
      } catch (const DeviceError&) {  // written by another build of cuDNN: chosen anew
      }
    // What can be made may still refuse to run: outside of captures each is tried before it is believed.
    const auto wanted = static_cast<std::size_t>(capturing(device_) ? 1 : gemm_settings.candidates);
    std::optional<std::size_t> best = 0;
    auto plans = make_plans(graph, target, {.rounding = rounding}, wanted);
    const auto choose_runnable = [&] {
      const int runs = plans.size() > 1 ? 3 : 1;
      best = fastest(
          plans.size(), [&](std::size_t i, int each) { return times_of(plans[i], each); }, runs);
    };
    if (!capturing(device_)) {
      choose_runnable();
      if (!best && plans.size() == wanted) {
        plans = make_plans(graph, target, {.rounding = rounding}, wanted + 8);
        choose_runnable();
      }
    }
    if (!best || plans.empty()) return nullptr;
    if (wanted > 1) plan_file().keep(name, plans[*best].choice);
    return std::make_unique<CudnnPlan>(std::move(plans[*best]));
  }

  /// A problem as the file of plans calls it.
  std::string problem(const PlanKey& key) const {
    return plan_problem(static_cast<Index>(cudnnGetVersion()), name_, key.to_text());
  }

  /// Milliseconds of some runs; none when the work cannot be done. Throws when the device is of no use after
  /// it.
  template <class F>
  std::vector<float> times(const F& start, int runs) const {
    try {
      return device_times(device_, start, runs);
    } catch (const Error&) {
      check(cudaStreamSynchronize(stream(device_)), "after a plan of cuDNN failed");
      return {};
    }
  }

  Cuda device_;
  cudnnHandle_t handle_ = nullptr;
  std::string name_;
  std::vector<std::unique_ptr<CudnnGraph>> graphs_;  // what plans are made of has to outlive them
  std::map<PlanKey, std::unique_ptr<CudnnPlan>> plans_;
  std::map<PlanKey, bool> faster_;  // whether the first of two ways is
};

/// Runs the plan of a problem, if there is one. The pointers are those of the graph's tensors, all of which
/// are promised to be aligned to 16 bytes but for numbers of the host.
template <class MakeGraph>
bool run_plan(Cuda device, const PlanKey& key, bool rounding, const MakeGraph& make_graph,
              const std::vector<void*>& pointers) {
  PlanCache& cache = PlanCache::of(device);
  const CudnnPlan* const plan = cache.find(key, rounding, make_graph, pointers);
  if (plan) cache.run(*plan, pointers);
  return plan != nullptr;
}
/// Whether the first of two ways to do a problem's work is the faster one. Each starts work and says whether
/// it could. It is measured where products are tuned, once for a problem, and kept in the file of plans;
/// where nothing is known the answer is no.
template <class First, class Second>
bool first_is_faster(Cuda device, const PlanKey& key, const First& first, const Second& second) {
  return PlanCache::of(device).first_is_faster(key, first, second);
}
template <class... Pointers>
bool are_aligned(const Pointers*... p) {
  return ((reinterpret_cast<std::uintptr_t>(p) % 16 == 0) && ...);
}
/// cuDNN takes pointers to what it reads as if it wrote there.
template <class T>
void* operand(const T* p) {
  return const_cast<T*>(p);
}

}  // namespace gram::cuda
