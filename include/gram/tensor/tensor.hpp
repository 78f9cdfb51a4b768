// SPDX-License-Identifier: MIT
#pragma once
#include <cstring>
#include <initializer_list>
#include <span>
#include <vector>

#include "gram/core/cuda_capture.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cuda/copy.hpp"
#include "gram/tensor/node.hpp"

namespace gram {

template <Element T>
class Gradient;

/// What every tensor has, whatever its element type: shape, memory, and its place on the tape.
class AnyTensor {
 public:
  /// False for a default-constructed tensor: an absent bias, an absent gradient.
  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Extent of an axis; negative axes count from the end.
  Index dim(int axis) const { return shape_[axis]; }
  Index size() const { return defined() ? shape_.size() : 0; }
  Device device() const { return storage_ ? storage_->device() : Device::cpu(); }
  /// True when gradients flow into this tensor.
  bool requires_grad() const { return autograd_ != nullptr; }
  /// True when this tensor was made by a recorded operation.
  bool recorded() const { return autograd_ && autograd_->node; }

  const std::shared_ptr<detail::Autograd>& autograd() const { return autograd_; }

 protected:
  AnyTensor() = default;
  AnyTensor(const Shape& shape, std::shared_ptr<detail::Storage> storage)
      : shape_(shape), storage_(std::move(storage)) {}

  Shape shape_;
  std::shared_ptr<detail::Storage> storage_;
  std::shared_ptr<detail::Autograd> autograd_;
};

/// A contiguous, row-major array. Copies share the memory; clone() copies it. Images and feature maps are (N,
/// H, W, C), tokens (N, L, C).
template <Element T>
class Tensor : public AnyTensor {
 public:
  using value_type = T;

  Tensor() = default;
  /// Uninitialised memory.
  explicit Tensor(const Shape& shape, Device device = Device::cpu())
      : AnyTensor(shape, std::make_shared<detail::Storage>(static_cast<std::size_t>(shape.size()) * sizeof(T),
                                                           device)),
        data_(static_cast<T*>(storage_->data())) {}
  /// Copies the values, row by row; throws ShapeError unless there are shape.size() of them.
  Tensor(const Shape& shape, std::span<const T> values) : Tensor(shape) {
    require(static_cast<Index>(values.size()) == shape.size(), "Tensor: ", values.size(),
            " values for shape ", shape);
    if (!values.empty()) std::memcpy(data_, values.data(), values.size_bytes());
  }
  Tensor(const Shape& shape, std::initializer_list<T> values)
      : Tensor(shape, std::span(values.begin(), values.size())) {}

  T* data() const { return data_; }
  /// All elements of a CPU tensor, row by row; throws DeviceError for one elsewhere.
  std::span<T> span() const {
    require_cpu("span");
    return {data_, static_cast<std::size_t>(size())};
  }
  /// The element of a CPU tensor at a position, bounds checked: x.at({0, 3}).
  T& at(std::initializer_list<Index> position) const {
    require_cpu("at");
    require(static_cast<int>(position.size()) == rank(), "Tensor::at: ", position.size(),
            " indices for shape ", shape_);
    Index offset = 0;
    int axis = 0;
    for (const Index i : position) {
      require(i >= 0 && i < shape_[axis], "Tensor::at: index ", i, " of axis ", axis, " lies outside ",
              shape_);
      offset = offset * shape_[axis++] + i;
    }
    return data_[offset];
  }
  /// The value of a tensor with one element, on any device.
  T item() const {
    require(size() == 1, "Tensor::item: shape ", shape_, " has ", size(), " elements; one is needed");
    if (device().kind() == Device::Kind::cuda) cuda::require_no_capture("Tensor::item");
    return to(Device::cpu()).data_[0];
  }

  /// The same values in memory of their own, off the tape.
  Tensor clone() const {
    if (!defined()) return {};
    Tensor copy(shape_, device());
    on(device(), [&](auto tag) { kernels::copy(tag, data_, copy.data_, size()); });
    return copy;
  }
  /// The same values on `device`, off the tape; the tensor itself when it is there already.
  Tensor to(Device device) const {
    const Device from = this->device();
    if (!defined() || from == device) return *this;
    cuda::require_no_capture("Tensor::to");
    Tensor copy(shape_, device);
    const int gpu = from.kind() == Device::Kind::cuda ? from.index() : device.index();
    cuda::runtime->copy(gpu, data_, copy.data_, static_cast<std::size_t>(size()) * sizeof(T));
    return copy;
  }
  /// The same memory off the tape: gradients do not flow through it.
  Tensor detach() const {
    Tensor alias = *this;
    alias.autograd_ = nullptr;
    return alias;
  }
  /// The same memory under another shape of the same size, off the tape. reshape() is the recorded form.
  Tensor alias(const Shape& shape) const {
    require(shape.size() == size(), "Tensor::alias: shape ", shape_, " does not have the size of ", shape);
    Tensor view = detach();
    view.shape_ = shape;
    return view;
  }
  /// Rows [begin, end) of the first axis, sharing memory, off the tape. rows() is the recorded form.
  Tensor alias_rows(Index begin, Index end) const {
    require(rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "Tensor::alias_rows: rows ", begin,
            " to ", end, " of shape ", shape_);
    Tensor view = detach();
    view.shape_ = shape_.with(0, end - begin);
    view.data_ = data_ + begin * shape_.product(1, rank());
    return view;
  }

  /// Makes this handle a leaf of the tape (or takes it off). Copies made before are not affected.
  Tensor& set_requires_grad(bool on = true) requires Scalar<T> {
    require<ArgumentError>(!recorded(), "set_requires_grad: the tensor is the result of ",
                           recorded() ? autograd_->node->name : "", "; only leaves can be set, use detach()");
    if (on && !autograd_)
      autograd_ = std::make_shared<detail::Autograd>(device(), static_cast<std::size_t>(size()) * sizeof(T));
    if (!on) autograd_ = nullptr;
    return *this;
  }
  /// The accumulated gradient; undefined (see defined()) while nothing has flowed in.
  Tensor grad() const requires Scalar<T> {
    if (!autograd_ || !autograd_->gradient) return {};
    return Tensor(shape_, autograd_->gradient);
  }
  /// Drops the gradient; its memory goes back to the cache.
  void zero_grad() const {
    if (autograd_) autograd_->gradient = nullptr;
  }
  /// The way into this tensor's gradient, without keeping its values alive. For backward steps.
  Gradient<T> gradient() const requires Scalar<T> { return Gradient<T>(autograd_, shape_); }

  /// Internal: memory that holds exactly these values (a copy when this tensor views a part of a larger
  /// block).
  std::shared_ptr<detail::Storage> whole_storage() const {
    const bool whole =
        data_ == storage_->data() && storage_->bytes() == static_cast<std::size_t>(size()) * sizeof(T);
    return whole ? storage_ : clone().storage_;
  }
  /// Internal: whether no other tensor and no gradient shares this memory.
  bool sole_owner() const { return storage_.use_count() == 1; }
  /// Internal: a tensor around existing memory.
  Tensor(const Shape& shape, std::shared_ptr<detail::Storage> storage)
      : AnyTensor(shape, std::move(storage)), data_(static_cast<T*>(storage_->data())) {}
  /// Internal: the same values as the result of a recorded operation.
  Tensor attached(const std::shared_ptr<detail::Autograd>& autograd) const {
    Tensor y = *this;
    y.autograd_ = autograd;
    return y;
  }

 private:
  void require_cpu(const char* access) const {
    require<DeviceError>(device().kind() == Device::Kind::cpu, "Tensor::", access, ": the tensor is on ",
                         device(), "; copy it with to(Device::cpu())");
  }

  T* data_ = nullptr;
};

/// A handle to the gradient of a tensor.
template <Element T>
class Gradient {
 public:
  Gradient() = default;
  Gradient(std::shared_ptr<detail::Autograd> autograd, const Shape& shape)
      : autograd_(std::move(autograd)), shape_(shape) {}

  /// True when the tensor needs a gradient.
  explicit operator bool() const { return autograd_ != nullptr; }
  /// Whether both lead to one gradient.
  bool operator==(const Gradient& other) const { return autograd_ == other.autograd_; }
  const Shape& shape() const { return shape_; }

  /// Memory to write or add the gradient into.
  GradientSink<T> sink() const {
    if (!autograd_) return {};
    if (!autograd_->gradient) {
      autograd_->gradient = std::make_shared<detail::Storage>(autograd_->bytes, autograd_->device);
      return {static_cast<T*>(autograd_->gradient->data()), false};
    }
    own();
    return {static_cast<T*>(autograd_->gradient->data()), true};
  }
  /// The same, in the memory of a tensor that is read for the last time, dy for one, where that is free:
  /// nothing else holds it, it has this size, this is the first gradient, and the device is the CPU. Then the
  /// tensor is lost element by element as the sink is written. Saves the reading of fresh memory that comes
  /// before writing it. A second sink of the same gradient would be a copy while the tensor lives.
  GradientSink<T> sink_over(const Tensor<T>& spent) const {
    if (!autograd_ || autograd_->gradient || spent.size() != shape_.size() || !spent.sole_owner() ||
        autograd_->device != Device::cpu())
      return sink();
    autograd_->gradient = spent.whole_storage();
    return {static_cast<T*>(autograd_->gradient->data()), false};
  }

  /// Adds a complete gradient. The first one is taken over without a copy, so pass-through operations cost
  /// nothing.
  void add(const Tensor<T>& dy) const {
    if (!autograd_) return;
    if (!autograd_->gradient) {
      autograd_->gradient = dy.whole_storage();
      return;
    }
    own();
    on(autograd_->device, [&](auto tag) {
      kernels::accumulate(tag, dy.data(), static_cast<T*>(autograd_->gradient->data()), shape_.size());
    });
  }

 private:
  /// Gradients may be shared with those of other tensors (see add); take a copy before writing.
  void own() const {
    if (autograd_->gradient.use_count() == 1) return;
    auto copy = std::make_shared<detail::Storage>(autograd_->bytes, autograd_->device);
    on(autograd_->device, [&](auto tag) {
      kernels::copy(tag, static_cast<const T*>(autograd_->gradient->data()), static_cast<T*>(copy->data()),
                    shape_.size());
    });
    autograd_->gradient = std::move(copy);
  }

  std::shared_ptr<detail::Autograd> autograd_;
  Shape shape_;
};

}  // namespace gram
