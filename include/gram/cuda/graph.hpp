// SPDX-License-Identifier: MIT
// CUDA graphs: everything that a training step or an inference batch starts on a device, written down once
// and started again by one call.
//     cuda::Graph graph = cuda::capture(device, [&] { step(); });
//     for (;;) graph.replay();
// graph.cuh does what needs the CUDA runtime.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "gram/core/cuda_capture.hpp"
#include "gram/core/device.hpp"

namespace gram::cuda {

/// Words that a kernel writes to device memory: what fits into the arguments of one launch.
struct LiveWords {
  static constexpr std::size_t most = 448;
  std::uint64_t word[most];
};

struct GraphTable {
  void (*begin)(int device);
  /// Throws DeviceError; the capture has ended all the same.
  void* (*end)(int device);
  void (*abandon)(int device) noexcept;
  void (*launch)(int device, void* graph);
  void (*destroy)(int device, void* graph) noexcept;
  void (*write)(int device, std::uint64_t* to, const LiveWords& words, std::size_t count);
};
inline GraphTable graph_table{};

/// A captured step. Made by capture().
///
/// A replay does on the device what the step did when it was captured: the same kernels on the same memory.
/// Memory that the step took stays with the graph and holds the results of the last replay: its gradients,
/// logits and losses may be read between replays. Everything else that the step used (parameters, buffers,
/// state of the optimiser, random sources, inputs) must stay where it is, and alive, as long as the graph.
/// Random sources, step counts and learning rates go on from replay to replay as in plain steps, with which
/// replays may alternate.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept { *this = std::move(other); }
  Graph& operator=(Graph&& other) noexcept {
    std::swap(recording_, other.recording_);
    return *this;
  }

  /// False for a default-constructed graph.
  explicit operator bool() const { return recording_ != nullptr; }
  /// Starts the step once more, behind what was started before; nothing waits.
  void replay() { recording_->replay(); }

 private:
  class Recording final : public Capture {
   public:
    explicit Recording(Device device) : device_(device.index()) {
      live_memory_ = static_cast<std::uint64_t*>(runtime->allocate(device_, capacity * word));
    }
    ~Recording() override {
      if (graph_) graph_table.destroy(device_, graph_);
      runtime->release(device_, live_memory_, capacity * word);
    }

    template <class F>
    void record(F&& step) {
      require_no_capture("capture");
      graph_table.begin(device_);
      current_capture = this;
      try {
        step();
      } catch (...) {
        current_capture = nullptr;
        graph_table.abandon(device_);
        throw;
      }
      current_capture = nullptr;
      graph_ = graph_table.end(device_);
      words_.resize(used_);
    }

    void replay() {
      require_no_capture("Graph::replay");
      for (const auto& [at, number] : live_) number->write(words_.data() + at);
      LiveWords block;
      for (std::size_t at = 0; at < used_; at += LiveWords::most) {
        const std::size_t count = std::min(LiveWords::most, used_ - at);
        std::copy_n(words_.data() + at, count, block.word);
        graph_table.write(device_, live_memory_ + at, block, count);
      }
      graph_table.launch(device_, graph_);
    }

   private:
    /// Words for live numbers. They lie outside the graph's own memory, parts of which are used for several
    /// purposes one after another.
    static constexpr std::size_t capacity = std::size_t{1} << 15;

    const void* add(std::unique_ptr<Live> number, std::size_t bytes) override {
      const std::size_t at = used_, count = (bytes + word - 1) / word;
      require<DeviceError>(at + count <= capacity, "capture: the step asks for more than ", capacity * word,
                           " bytes of numbers that change from replay to replay");
      live_.emplace_back(at, std::move(number));
      used_ += count;
      return live_memory_ + at;
    }

    int device_;
    void* graph_ = nullptr;
    std::uint64_t* live_memory_;
    std::size_t used_ = 0;
    std::vector<std::pair<std::size_t, std::unique_ptr<Live>>> live_;  ///< at which word, and the number
    std::vector<std::uint64_t> words_;
  };

  template <class F>
  friend Graph capture(Device device, F&& step);

  std::unique_ptr<Recording> recording_;
};

/// Captures what step() starts on a CUDA device. Nothing runs: no value, no random source and no step count
/// changes before the first replay. Run the step once before, so that libraries have chosen their methods and
/// memory lies in the cache. Throws DeviceError, naming the operation, when the step reads or writes values
/// of the device from the host (item(), to()), and whatever the step throws.
template <class F>
Graph capture(Device device, F&& step) {
  require<DeviceError>(device.kind() == Device::Kind::cuda, "capture: ", to_text(device),
                       " has no graphs; a CUDA device is needed");
  Graph graph;
  graph.recording_ = std::make_unique<Graph::Recording>(device);
  graph.recording_->record(step);
  return graph;
}

}  // namespace gram::cuda
