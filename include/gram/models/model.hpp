// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <vector>

#include "gram/core/pair.hpp"
#include "gram/nn/module.hpp"

namespace gram::models {

/// What a network that was made by name is.
struct Info {
  std::string name;  ///< "ga_resnet50"
  Index classes = 0, heads = 0;
  Pair size = 224;  ///< of the images it is meant for
};

/// Any network behind one type: images (N, H, W, 3) -> the logits (N, classes) of every head. It has a visit
/// like any layer, so that parameter_count, train, load_weights and the like take it as they take a network.
/// Moves, but does not copy.
template <Scalar T>
class Model {
 public:
  template <class Network>
  Model(Info about, Network network) : info_(std::move(about)) {
    auto holder = std::make_unique<Holder<Network>>(std::move(network));
    parts_.parts = parts_of(holder->network);
    network_ = std::move(holder);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    require(x.rank() == 4 && x.dim(3) == 3, info_.name, ": input has shape ", x.shape(),
            "; images (N, H, W, 3) are expected");
    return network_->forward(x);
  }
  const Info& info() const { return info_; }
  void visit(auto&& parts) { for_each_part(parts_, parts); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual std::vector<Tensor<T>> forward(const Tensor<T>& x) = 0;
  };
  template <class Network>
  struct Holder final : Base {
    explicit Holder(Network n) : network(std::move(n)) {}
    std::vector<Tensor<T>> forward(const Tensor<T>& x) override { return network(x); }
    Network network;
  };
  Info info_;
  std::unique_ptr<Base> network_;
  PartList<T> parts_;
};

}  // namespace gram::models
