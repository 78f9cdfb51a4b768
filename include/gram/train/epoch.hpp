// SPDX-License-Identifier: MIT
// One pass over a data set: training, evaluation.
#pragma once
#include <functional>

#include "gram/data/loader.hpp"
#include "gram/loss/cross_entropy.hpp"
#include "gram/nn/kept_mode.hpp"
#include "gram/ops/cast.hpp"
#include "gram/optim/clip.hpp"
#include "gram/train/data_parallel.hpp"
#include "gram/train/meter.hpp"
#include "gram/train/progress.hpp"
#include "gram/train/repeat.hpp"

namespace gram {

struct EpochOptions {
  Index epoch = 1, epochs = 1;   ///< counted from 1
  Index max_steps = 0;           ///< end after so many steps; 0: the whole data set
  double max_norm = 0;           ///< clip the norm of all gradients; 0: do not
  Progress* progress = nullptr;  ///< shows a line while it runs
  /// On a GPU: replay a captured step, see Repeat. With `parallel`: if its communicator is capturable().
  bool graphs = true;
  DataParallel* parallel = nullptr;  ///< adds up the gradients of several processes
  /// Runs behind each update: [&] { ema.update(); }. Where a step is replayed, what it starts on the device
  /// is repeated, and it is not called.
  std::function<void()> after_update = {};
};

namespace detail {

/// Losses are computed, and right answers counted, in float for a bf16 network, too.
template <Scalar T>
std::vector<Tensor<accum_t<T>>> widened(const std::vector<Tensor<T>>& logits) {
  std::vector<Tensor<accum_t<T>>> wide;
  for (const Tensor<T>& z : logits) wide.push_back(cast<accum_t<T>>(z));
  return wide;
}

}  // namespace detail

/// Trains for one pass over the loader's data, on the model's device, and returns what was seen. A step is:
/// logits of all heads, loss, gradients, update. On several processes (options.parallel, and a loader with
/// shards) it returns what all have seen. The logits of a network of bf16 are given to the loss as float.
///   loss(logits, batch)  -> a scalar Tensor<accum_t<T>>, of std::vector<Tensor<accum_t<T>>> and Batch<T>
///   learning_rate(step)  -> double, for step 0, 1, .. of the whole training
template <Scalar T, class Model, class Optimizer, class Loss, class Schedule>
Meter train_epoch(Model& model, Loader<T>& loader, Optimizer& optimizer, Loss&& loss,
                  Schedule&& learning_rate, const EpochOptions& options = {}) {
  using Clock = std::chrono::steady_clock;
  const Index steps = options.max_steps ? std::min(options.max_steps, loader.batches()) : loader.batches();
  const Clock::time_point start = Clock::now();
  train(model);
  Meter meter;
  Repeat<T> repeat(device_of(model), options.graphs && (!options.parallel || options.parallel->capturable()));
  const auto train_step = [&](const Batch<T>& batch) {
    const auto logits = detail::widened(model(batch.images));
    const auto objective = loss(logits, batch);
    optimizer.zero_grad();
    backward(options.parallel ? objective * batch.share() : objective);
    if (options.parallel) options.parallel->finish();
    if (options.max_norm > 0) clip_gradients(optimizer.parameters(), options.max_norm);
    optimizer.step();
    if (options.after_update) options.after_update();
    meter.add(objective, logits, batch.labels);
  };
  typename Loader<T>::Epoch batches = loader.epoch(options.epoch);
  for (Index step = 0; step < steps; ++step) {
    optimizer.set_lr(learning_rate((options.epoch - 1) * steps + step));
    repeat(*batches.next(), train_step);
    if (options.progress && options.progress->due(step + 1 == steps))
      options.progress->show({.epoch = options.epoch,
                              .epochs = options.epochs,
                              .step = step + 1,
                              .steps = steps,
                              .images = meter.images(),
                              .seconds = std::chrono::duration<double>(Clock::now() - start).count(),
                              .loss = meter.loss(),
                              .accuracy = meter.accuracy(),
                              .head_accuracy = meter.head_accuracy(),
                              .learning_rate = optimizer.lr()});
  }
  if (options.parallel) meter.all_reduce(options.parallel->communicator());
  return meter;
}

/// Evaluates a model on its device, with running statistics and without dropout. The prediction is the argmax
/// of the sum of the heads' logits, the loss the cross-entropy of that sum (the released code's validation).
/// The model is left in the mode it was in, also by an exception. With a communicator, whose processes read
/// the shards of the data, it returns what all have seen.
template <Scalar T, class Model>
Meter evaluate(Model& model, Loader<T>& loader, bool graphs = true, Communicator* communicator = nullptr) {
  const NoGrad off;
  const KeptMode kept(model);
  eval(model);
  Meter meter;
  Repeat<T> repeat(device_of(model), graphs);
  for (const Batch<T>& host_batch : loader.epoch(0))
    repeat(host_batch, [&](const Batch<T>& batch) {
      const auto logits = detail::widened(model(batch.images));
      auto sum = logits.at(0);
      for (std::size_t i = 1; i < logits.size(); ++i) sum = add(sum, logits[i]);
      meter.add(cross_entropy(sum, batch.labels), logits, batch.labels);
    });
  if (communicator) meter.all_reduce(*communicator);
  return meter;
}

}  // namespace gram
