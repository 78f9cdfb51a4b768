// SPDX-License-Identifier: MIT
// One step again and again, on batches of a loader.
#pragma once
#include "gram/cuda/graph.hpp"
#include "gram/cuda/upload.hpp"
#include "gram/data/loader.hpp"

namespace gram {

/// Runs a step on batches that lie on the CPU, on the device that it is made for. On a GPU the first batch
/// runs as a plain step; from then on, batches of its shape are replays of a CUDA graph, unless graphs are
/// turned off. Batches of another shape are plain steps.
template <Scalar T>
class Repeat {
 public:
  explicit Repeat(Device device, bool graphs = true) : device_(device), graphs_(graphs) {}

  /// step(batch), its batch on the device. It is the same step each time: everything that it reads beside the
  /// batch, and all that it counts, must lie in tensors, or come from the capture (core/cuda_capture.hpp).
  template <class Step>
  void operator()(const Batch<T>& batch, Step&& step) {
    if (device_.kind() == Device::Kind::cpu) return step(batch);
    const bool first = !batch_.images.defined();
    if (first) {
      batch_ = {Tensor<T>(batch.images.shape(), device_),
                Tensor<std::int64_t>(batch.labels.shape(), device_)};
      images_ = cuda::Upload(device_, bytes(batch.images));
      labels_ = cuda::Upload(device_, bytes(batch.labels));
    } else if (!(batch.images.shape() == batch_.images.shape()) || batch.total != batch_.total) {
      return step(Batch<T>{batch.images.to(device_), batch.labels.to(device_), batch.number, batch.total});
    }
    images_.copy(batch.images.data(), batch_.images.data(), bytes(batch.images));
    labels_.copy(batch.labels.data(), batch_.labels.data(), bytes(batch.labels));
    batch_.number = batch.number, batch_.total = batch.total;
    if (first || !graphs_) return step(batch_);
    if (!graph_) graph_ = cuda::capture(device_, [&] { step(batch_); });
    graph_.replay();
  }

 private:
  template <Element E>
  static std::size_t bytes(const Tensor<E>& x) {
    return static_cast<std::size_t>(x.size()) * sizeof(E);
  }

  Device device_;
  bool graphs_;
  Batch<T> batch_;
  cuda::Upload images_, labels_;
  cuda::Graph graph_;
};

}  // namespace gram
