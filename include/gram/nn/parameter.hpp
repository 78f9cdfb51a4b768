// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "gram/core/communicator.hpp"
#include "gram/tensor/tensor.hpp"

namespace gram {

/// A list of layers. Unlike a vector it never moves them as it grows, and nothing that could has to be
/// compiled.
template <class Layer>
using LayerList = std::deque<Layer>;

/// How the values of a parameter lie in files of PyTorch weights. io/ converts between the two; nothing else
/// looks at it.
enum class Layout {
  plain,      ///< as in memory
  conv,       ///< (O, Kh, Kw, I) in memory, (O, I, Kh, Kw) in files
  pointwise,  ///< (O, I) in memory, (O, I, 1, 1) in files
};

/// What a layer makes of its weights once and keeps while it only infers. Each kind of layer has its own.
struct Prepared {
  virtual ~Prepared() = default;
  std::uint64_t updates = 0;  ///< of the weights by optimisers, before this was made
};

/// A tensor that a network learns. It needs a gradient from the start; a default-constructed one is absent (a
/// layer without bias). A copy is another handle on the same values and the same gradient.
template <Scalar T>
struct Parameter : Tensor<T> {
  Parameter() = default;
  explicit Parameter(Tensor<T> value, Layout file_layout = Layout::plain)
      : Tensor<T>(value.detach()), layout(file_layout) {
    if (this->defined()) this->set_requires_grad();
  }

  /// Takes it out of training, or back in. Optimisers that were made before keep it: while it rests they see
  /// no gradient.
  Parameter& set_requires_grad(bool on = true) {
    if (on == this->requires_grad()) return *this;
    if (!on) {
      this->zero_grad();
      resting_ = this->autograd();
    }
    if (on && resting_)
      Tensor<T>::operator=(this->attached(std::exchange(resting_, nullptr)));
    else
      Tensor<T>::set_requires_grad(on);
    return *this;
  }
  /// Puts other values of the same shape, perhaps on another device, in the place of these; the gradient is
  /// dropped. Optimisers that were made before keep the values that were here.
  void assign(const Tensor<T>& value) {
    require(value.shape() == this->shape(), name, ": values of shape ", value.shape(),
            " for a parameter of shape ", this->shape());
    prepared.reset();
    this->zero_grad();
    if (value.data() == this->data()) return;
    const bool learns = this->requires_grad();
    Tensor<T>::operator=(value.detach());
    resting_ = nullptr;
    if (learns) this->set_requires_grad();
  }

  Layout layout = Layout::plain;
  std::string name;                            ///< "layer3.0.conv2.weight"; set by name_parameters()
  bool fused = false;                          ///< fuse_for_inference() was called
  mutable std::shared_ptr<Prepared> prepared;  ///< made by the first call after that

 private:
  std::shared_ptr<detail::Autograd> resting_;  // its place on the tape while it is out of training
};

/// A tensor that belongs to a network and to its files, but is not learned: running statistics.
template <Scalar T>
struct Buffer : Tensor<T> {
  Buffer() = default;
  explicit Buffer(Tensor<T> value) : Tensor<T>(value.detach()) {}

  std::string name;
};

/// Whether a layer trains (batch statistics, dropout) or evaluates. A part of every layer that makes a
/// difference.
struct Mode {
  bool training = true;
  Communicator* communicator =
      nullptr;          ///< batch statistics are those of all its processes; null: of this one
  bool folded = false;  ///< batch norms in training take 1x1 convolutions in: fold_batch_norms()
};

}  // namespace gram
