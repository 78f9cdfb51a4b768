// SPDX-License-Identifier: MIT
// Training on several processes: each has the model and a share of every batch, and they add up their
// gradients.
#pragma once
#include <algorithm>
#include <memory>

#include "gram/core/communicator.hpp"
#include "gram/nn/module.hpp"

namespace gram {

struct DataParallelOptions {
  Index bucket_bytes = Index{25} << 20;  ///< gradients are sent in pieces of about this size
  bool overlap = true;                   ///< send them during the backward pass; false: in finish()
};

/// Makes the gradients of a model the sum of those of all processes. In a step
///     backward(loss * batch.share());  parallel.finish();  optimizer.step();
/// the share, images of this process / images of all, makes the sum the gradient of the mean loss over the
/// whole batch, whatever the sizes of its parts. Gradients are copied into buckets, last parameters first; a
/// bucket is sent when the backward pass has completed it and those before it, so that sending overlaps with
/// the rest of the pass.
///
/// A parameter without a gradient here counts as zeros and gets the sum of the others; without a gradient
/// anywhere it stays so. The model and the communicator must outlive this object; no parameter may be
/// assigned, frozen or moved meanwhile. Memory is taken in the constructor, as much as the gradients take.
class DataParallel {
 public:
  using Options = DataParallelOptions;

  /// Copies parameters and buffers of rank 0 to all processes, and gives every process but rank 0 random
  /// numbers of its own (dropout). A training that is resumed is loaded before, by all processes: then their
  /// sources are again where they were. Throws ArgumentError for a model that is in another one of these,
  /// CommunicationError.
  template <class Model>
  DataParallel(Model& model, Communicator& communicator, const Options& options = {})
      : DataParallel(parts_of(model), communicator, options) {}

  ~DataParallel() {
    for (const auto& slot : slots_) slot->leaf->observer = nullptr;
    for (Bucket& bucket : buckets_) try {
        bucket.request.wait();  // it reads the memory that goes now
      } catch (const Error&) {
      }
  }
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  /// Sends what has not been sent, waits, and puts the sums in the place of the gradients. To be called by
  /// all processes after their backward passes. Throws CommunicationError.
  ///
  /// In a captured CUDA graph nothing is asked of the others but the sums: who has which gradients is taken
  /// from the last plain step. Throws Error when this process has others now.
  void finish() {
    for (const auto& slot : slots_)
      if (!slot->packed) pack(*slot);
    early_ = next_;
    start_complete();
    if (cuda::current_capture) {
      require<Error>(
          own_ == last_own_,
          "DataParallel::finish: in the step that is captured other parameters have gradients than "
          "in the plain step before; run it once as a plain step");
    } else {
      present_ = last_own_ = own_;
      communicator_.start_all_reduce(present_.data(), static_cast<Index>(present_.size())).wait();
    }
    for (Bucket& bucket : buckets_) std::exchange(bucket.request, {}).wait();
    for (const auto& slot : slots_) unpack(*slot);
    next_ = 0;
    for (Bucket& bucket : buckets_) bucket.missing = bucket.slots;
  }

  /// Whether buckets are sent during the backward pass. Off while gradients of several passes are added up,
  /// or where two checkpointed functions use one parameter; then finish() sends them.
  void set_overlap(bool on) { overlap_ = on; }

  /// Whether a training step with this object can be captured: see Communicator::capturable().
  bool capturable() const { return communicator_.capturable(); }
  Communicator& communicator() const { return communicator_; }
  Index buckets() const { return static_cast<Index>(buckets_.size()); }
  /// Buckets of the last step that were sent before finish() was called.
  Index early_buckets() const { return static_cast<Index>(early_); }

 private:
  /// A parameter's place in a bucket.
  struct Slot final : detail::LeafObserver {
    void complete() override { owner->completed(*this); }

    DataParallel* owner = nullptr;
    std::string name;
    std::shared_ptr<detail::Autograd> leaf;
    std::size_t number = 0, bucket = 0;
    Index offset = 0, count = 0;
    bool packed = false;
  };
  struct Bucket {
    std::variant<Tensor<float>, Tensor<double>, Tensor<bf16>> gradients;
    Index count = 0;
    std::size_t slots = 0, missing = 0;
    Communicator::Request request = {};
  };

  DataParallel(const std::vector<NamedPart>& parts, Communicator& communicator, const Options& options)
      : communicator_(communicator), overlap_(options.overlap) {
    detail::for_each_listed(parts, [&]<class Part>(const std::string&, Part& part) {
      if constexpr (detail::is_tensor<Part>)
        communicator.broadcast(part.data(), part.size(), 0, part.device());
      if constexpr (std::is_same_v<Part, Rng>)
        if (communicator.rank() > 0)
          part.restore(part.fork(static_cast<std::uint64_t>(communicator.rank())).seed(), part.position());
    });
    detail::forget_prepared_listed(parts);
    for (auto named = parts.rbegin(); named != parts.rend(); ++named)
      std::visit(
          [&]<class Part>(Part* part) {
            if constexpr (detail::is_parameter<Part>)
              if (part->requires_grad())
                add<typename Part::value_type>(named->name, *part, options.bucket_bytes);
          },
          named->part);
    for (Bucket& bucket : buckets_) {
      bucket.missing = bucket.slots;
      std::visit(
          [&]<Scalar P>(Tensor<P>& gradients) { gradients = Tensor<P>({bucket.count}, gradients.device()); },
          bucket.gradients);
    }
    present_.resize(slots_.size()), own_.resize(slots_.size());
    for (const auto& slot : slots_) {
      require<ArgumentError>(!slot->leaf->observer, "DataParallel: ", slot->name, " is part of another one");
      slot->leaf->observer = slot.get();
    }
  }

  /// Appends a parameter to the open bucket of its type.
  template <Scalar P>
  void add(const std::string& name, const Tensor<P>& parameter, Index bucket_bytes) {
    auto bucket = std::find_if(buckets_.rbegin(), buckets_.rend(), [](const Bucket& b) {
      return std::holds_alternative<Tensor<P>>(b.gradients);
    });
    if (bucket == buckets_.rend() ||
        (bucket->count + parameter.size()) * static_cast<Index>(sizeof(P)) > bucket_bytes) {
      buckets_.push_back({.gradients = Tensor<P>({0}, parameter.device())});
      bucket = buckets_.rbegin();
    }
    auto slot = std::make_unique<Slot>();
    slot->owner = this, slot->name = name, slot->leaf = parameter.autograd();
    slot->number = slots_.size(), slot->bucket = static_cast<std::size_t>(buckets_.rend() - bucket) - 1;
    slot->offset = bucket->count, slot->count = parameter.size();
    bucket->count += slot->count, ++bucket->slots;
    slots_.push_back(std::move(slot));
  }

  /// Called by the backward pass.
  void completed(Slot& slot) {
    if (!overlap_ || !slot.leaf->gradient) return;
    require<Error>(
        !slot.packed, "DataParallel: ", slot.name,
        " got a gradient after its gradient had been sent; call finish() after every backward pass, or "
        "set_overlap(false) where several add up");
    pack(slot);
    start_complete();
  }

  void pack(Slot& slot) {
    Bucket& bucket = buckets_[slot.bucket];
    own_[slot.number] = slot.leaf->gradient ? 1 : 0;
    std::visit(
        [&]<Scalar P>(const Tensor<P>& gradients) {
          P* const place = gradients.data() + slot.offset;
          on(gradients.device(), [&](auto device) {
            if (slot.leaf->gradient)
              kernels::copy(device, static_cast<const P*>(slot.leaf->gradient->data()), place, slot.count);
            else
              kernels::fill(device, place, P(0.0F), slot.count);
          });
        },
        bucket.gradients);
    slot.packed = true;
    --bucket.missing;
  }

  /// All ranks send buckets in one order: a complete bucket waits for those before it.
  void start_complete() {
    for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_)
      std::visit(
          [&]<Scalar P>(const Tensor<P>& gradients) {
            buckets_[next_].request =
                communicator_.start_all_reduce(gradients.data(), gradients.size(), gradients.device());
          },
          buckets_[next_].gradients);
  }

  void unpack(Slot& slot) {
    slot.packed = false;
    if (present_[slot.number] == 0) return;
    std::shared_ptr<detail::Storage>& memory = slot.leaf->gradient;
    if (!memory || memory.use_count() > 1)  // other tensors may share it
      memory = std::make_shared<detail::Storage>(slot.leaf->bytes, slot.leaf->device);
    std::visit(
        [&]<Scalar P>(const Tensor<P>& gradients) {
          on(gradients.device(), [&](auto device) {
            kernels::copy(device, gradients.data() + slot.offset, static_cast<P*>(memory->data()),
                          slot.count);
          });
        },
        buckets_[slot.bucket].gradients);
  }

  Communicator& communicator_;
  bool overlap_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Bucket> buckets_;
  std::vector<std::int64_t> present_;         // of each slot: processes that have a gradient
  std::vector<std::int64_t> own_, last_own_;  // whether this one has; in the last plain step
  std::size_t next_ = 0, early_ = 0;          // buckets that have been sent; before finish()
};

}  // namespace gram
