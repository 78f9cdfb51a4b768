// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>

#include "gram/data/dataset.hpp"
#include "gram/data/transform.hpp"

namespace gram {

/// What a training step reads. The tensors are those of the loader: they hold until the next batch is asked
/// for.
template <Scalar T>
struct Batch {
  Tensor<T> images;             ///< (N, H, W, C)
  Tensor<std::int64_t> labels;  ///< (N)
  Index number = 0;             ///< of the batch in its epoch
  Index total = 0;              ///< images of the batch on all shards together

  Index size() const { return labels.size(); }
  /// The part of the batch that this shard has: 1 without shards. The mean loss over the whole batch is the
  /// sum over the shards of share() times their mean losses.
  double share() const { return static_cast<double>(size()) / static_cast<double>(total); }
};

struct LoaderOptions {
  Index batch = 128;  ///< images of a batch; with shards: on each of them
  int shard = 0;      ///< of `shards` processes, which read the same epochs together
  int shards = 1;
  bool shuffle = false;    ///< another order each epoch
  std::uint64_t seed = 0;  ///< of order and augmentation
  int workers = 1;         ///< threads that prepare batches; 0: the caller's own
  int prefetch = 2;        ///< batches that may lie ready
  bool drop_last = false;  ///< leave out a last batch that is not full
  /// A last batch of fewer images (with shards: on one of them) is made part of the one before it. Batch
  /// norms over single vectors, as the Gramian heads have them, cannot be trained on a batch of one image.
  Index smallest = 1;
  TransformOptions transform = {};
  /// Changes the bytes of an image (H, W, C) before the rest is done. Called by several threads at once.
  std::function<void(std::span<std::uint8_t> pixels, Rng& rng)> augment = {};
};

/// Reads a data set in batches, ahead of the training step. An image is transformed with random numbers that
/// depend on (seed, epoch, image) alone, so the batches do not depend on the number of workers.
///   for (const Batch<float>& batch : loader.epoch(3)) ..
/// With shards, batch k of all of them together is batch k of one loader with `shards` times the batch: every
/// image is in one shard. Shares of the last batch differ by one image at most; as options.smallest is at
/// least 1, all shards have the same number of batches, none of them empty. Memory is taken once, in the
/// constructor. One epoch can be read at a time.
template <Scalar T>
class Loader {
 public:
  class Epoch;

  /// Throws ArgumentError for options out of range or an empty data set.
  explicit Loader(Dataset data, LoaderOptions options = {})
      : data_(std::move(data)), options_(std::move(options)), transform_(options_.transform, channels()) {
    const auto at_least = [](Index value, Index least, const char* name) {
      require<ArgumentError>(value >= least, "Loader: ", name, " is ", value, "; at least ", least,
                             " is needed");
    };
    at_least(options_.batch, 1, "batch"), at_least(options_.workers, 0, "workers"),
        at_least(options_.prefetch, 0, "prefetch"), at_least(options_.shards, 1, "shards"),
        at_least(options_.shard, 0, "shard"), at_least(options_.smallest, 1, "smallest");
    require<ArgumentError>(options_.shard < options_.shards, "Loader: there is no shard ", options_.shard,
                           " of ", options_.shards);
    require<ArgumentError>(data_.size() > 0, "Loader: data set ", printable(data_.name), " has no images");
    require<ArgumentError>(data_.size() >= options_.shards, "Loader: ", data_.size(), " images for ",
                           options_.shards, " shards; each needs one");
    require<ArgumentError>(batches() > 0, "Loader: drop_last leaves no batch of ", options_.batch, " from ",
                           data_.size(), " images");
    Index rows = 0;
    for (const Index number : {Index{0}, batches() - 1}) rows = std::max(rows, range(number).size());
    slots_.resize(static_cast<std::size_t>(options_.workers + options_.prefetch + 1));
    for (Slot& slot : slots_)
      slot.batch = {Tensor<T>(data_.images.shape().with(0, rows)), Tensor<std::int64_t>({rows})};
    order_.resize(static_cast<std::size_t>(data_.size()));
  }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  const Dataset& dataset() const { return data_; }
  const LoaderOptions& options() const { return options_; }
  /// Batches of an epoch.
  Index batches() const {
    const Index full = data_.size() / whole_batch(), rest = data_.size() % whole_batch();
    const bool stands_alone = rest >= options_.smallest * options_.shards || full == 0;
    return full + (!options_.drop_last && stands_alone);
  }
  /// Images of an epoch, on all shards together.
  Index size() const { return options_.drop_last ? batches() * whole_batch() : data_.size(); }

  /// Starts reading. Throws ArgumentError while another epoch of this loader is being read.
  Epoch epoch(Index number) { return Epoch(*this, number); }

 private:
  struct Slot {
    Batch<T> batch;
    bool ready = false;
    std::exception_ptr error;
  };

  /// Where a batch of this shard lies in the epoch's order.
  struct Range {
    Index begin, end, total;
    Index size() const { return end - begin; }
  };
  Index whole_batch() const { return options_.batch * options_.shards; }
  Range range(Index number) const {
    const Index begin = number * whole_batch();
    const Index total = (number == batches() - 1 ? size() : begin + whole_batch()) - begin;
    return {begin + total * options_.shard / options_.shards,
            begin + total * (options_.shard + 1) / options_.shards, total};
  }

  Index channels() const {
    check_dataset(data_);
    return data_.images.dim(3);
  }

  void start(Index epoch) {
    std::iota(order_.begin(), order_.end(), Index{0});
    random_ = Rng(options_.seed).fork(static_cast<std::uint64_t>(epoch));
    if (!options_.shuffle) return;
    Rng rng = random_;
    for (Index i = data_.size() - 1; i > 0; --i)
      std::swap(order_[static_cast<std::size_t>(i)], order_[static_cast<std::size_t>(rng.below(i + 1))]);
  }

  /// Writes batch `number` into a slot. `changed` is memory for one image.
  void fill(Slot& slot, Index number, std::vector<std::uint8_t>& changed) const {
    const Shape& shape = data_.images.shape();
    const Index height = shape[1], width = shape[2], values = shape.product(1, 4);
    const auto [begin, end, total] = range(number);
    for (Index i = begin; i < end; ++i) {
      const Index index = order_[static_cast<std::size_t>(i)];
      const std::uint8_t* image = data_.images.data() + index * values;
      Rng rng = random_.fork(static_cast<std::uint64_t>(index));
      if (options_.augment) {
        changed.assign(image, image + values);
        Rng own = rng.split();
        options_.augment(changed, own);
        image = changed.data();
      }
      transform_(image, height, width, rng, slot.batch.images.data() + (i - begin) * values);
      slot.batch.labels.data()[i - begin] = data_.labels.data()[index];
    }
  }

  Dataset data_;
  LoaderOptions options_;
  Transform<T> transform_;
  std::vector<Slot> slots_;  // batch b is prepared in slot b mod the number of slots
  std::vector<Index> order_;
  Rng random_;
  bool reading_ = false;
};

/// One pass over the data: a range for a for loop, or next() until it returns null. Leaving early is fine. An
/// exception of a worker is thrown where its batch would have come.
template <Scalar T>
class Loader<T>::Epoch {
 public:
  Epoch(Loader& loader, Index number) : loader_(loader) {
    require<ArgumentError>(!loader.reading_, "Loader::epoch: another epoch is still being read");
    loader.start(number);
    for (Slot& slot : loader.slots_) slot.ready = false, slot.error = nullptr;
    try {
      for (int i = 0; i < loader.options_.workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
    loader.reading_ = true;
  }
  ~Epoch() {
    stop();
    loader_.reading_ = false;
  }
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;

  /// The next batch, null after the last one. It holds until the next call.
  const Batch<T>* next() {
    if (given_ == loader_.batches()) return nullptr;
    Slot& slot = slot_of(given_);
    if (workers_.empty()) {
      loader_.fill(slot, given_, changed_);
    } else {
      std::unique_lock lock(mutex_);
      released_ = given_;  // the batch before this one is no longer read
      space_.notify_all();
      filled_.wait(lock, [&] { return slot.ready; });
      slot.ready = false;
      if (slot.error) {
        given_ = loader_.batches();
        std::rethrow_exception(std::exchange(slot.error, nullptr));
      }
    }
    const Range range = loader_.range(given_);
    current_ = {slot.batch.images.alias_rows(0, range.size()), slot.batch.labels.alias_rows(0, range.size()),
                given_++, range.total};
    return &current_;
  }

  class Iterator {
   public:
    explicit Iterator(Epoch* epoch) : epoch_(epoch), batch_(epoch ? epoch->next() : nullptr) {}
    const Batch<T>& operator*() const { return *batch_; }
    Iterator& operator++() {
      batch_ = epoch_->next();
      return *this;
    }
    bool operator!=(const Iterator& other) const { return batch_ != other.batch_; }

   private:
    Epoch* epoch_;
    const Batch<T>* batch_;
  };
  Iterator begin() { return Iterator(this); }
  Iterator end() { return Iterator(nullptr); }

 private:
  Slot& slot_of(Index batch) {
    return loader_.slots_[static_cast<std::size_t>(batch) % loader_.slots_.size()];
  }

  void work() {
    std::vector<std::uint8_t> changed;
    for (;;) {
      Index mine = 0;
      {
        std::unique_lock lock(mutex_);
        mine = claimed_++;
        const auto free = [&] { return mine < released_ + static_cast<Index>(loader_.slots_.size()); };
        space_.wait(lock, [&] { return stopped_ || mine >= loader_.batches() || free(); });
        if (stopped_ || mine >= loader_.batches()) return;
      }
      Slot& slot = slot_of(mine);
      std::exception_ptr error;
      try {
        loader_.fill(slot, mine, changed);
      } catch (...) {
        error = std::current_exception();
      }
      const std::scoped_lock lock(mutex_);
      slot.error = std::move(error);  // the consumer alone ends its life
      slot.ready = true;
      filled_.notify_one();
    }
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
    }
    space_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  Loader& loader_;
  std::mutex mutex_;
  std::condition_variable space_, filled_;
  Index claimed_ = 0;   // batches that workers have taken on
  Index released_ = 0;  // batches that the consumer is done with
  bool stopped_ = false;
  Index given_ = 0;
  Batch<T> current_;
  std::vector<std::uint8_t> changed_;
  std::vector<std::thread> workers_;
};

}  // namespace gram
