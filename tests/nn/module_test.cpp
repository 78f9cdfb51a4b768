// SPDX-License-Identifier: MIT
#include "gram/nn/module.hpp"

#include "gram/nn/trace.hpp"
#include "support.hpp"

using namespace gram;

namespace {

struct Leaf {
  void visit(auto&& parts) {
    parts("weight", weight), parts("bias", bias), parts("mean", mean), parts("mode", mode);
  }
  Parameter<float> weight{ones<float>({2, 3})}, bias;
  Buffer<double> mean{zeros<double>({2})};
  Mode mode;
};

struct Net {
  void visit(auto&& parts) {
    parts("stem", stem), parts("blocks", blocks), parts("head", head), parts("rng", rng);
    parts("scale", scale);
  }
  Leaf stem;
  std::vector<Leaf> blocks{2};
  std::optional<Leaf> head;
  Rng rng{1};
  Parameter<double> scale{ones<double>({4})};
};

}  // namespace

TEST_CASE("parts are named by dotted paths, elements of vectors by number, absent parts not at all") {
  Net net;
  std::string names;
  for_each_part(net, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(names ==
        "stem.weight stem.mean stem.mode blocks.0.weight blocks.0.mean blocks.0.mode "
        "blocks.1.weight blocks.1.mean blocks.1.mode rng scale ");
  net.head.emplace();
  std::string parameters, buffers;
  for_each_parameter(net, [&](const std::string& name, auto&) { parameters += name + " "; });
  for_each_buffer(net, [&](const std::string& name, auto&) { buffers += name + " "; });
  CHECK(parameters == "stem.weight blocks.0.weight blocks.1.weight head.weight scale ");
  CHECK(buffers == "stem.mean blocks.0.mean blocks.1.mean head.mean ");
  CHECK(parameter_count(net) == 4 * 6 + 4);
}

TEST_CASE("a list of parts is walked in the same order, without what a model of its scalar does not have") {
  Net net;
  PartList<float> list{parts_of(net)};
  std::string names;
  for_each_part(list, [&](const std::string& name, auto&) { names += name + " "; });
  CHECK(
      names ==
      "stem.weight stem.mode blocks.0.weight blocks.0.mode blocks.1.weight blocks.1.mode rng ");  // no double
  for_each_parameter(list, [](const std::string&, auto& parameter) { parameter.name = "seen"; });
  CHECK(net.blocks[1].weight.name == "seen");
  CHECK(parts_of(list).size() == parts_of(net).size());
}

TEST_CASE("train, eval, freeze and zero_grad reach every part") {
  Net net;
  eval(net);
  CHECK_FALSE(net.blocks[1].mode.training);
  train(net);
  CHECK(net.blocks[1].mode.training);

  backward(net.stem.weight, ones<float>({2, 3}));
  CHECK(net.stem.weight.grad().defined());
  zero_grad(net);
  CHECK_FALSE(net.stem.weight.grad().defined());

  freeze(net.blocks[0]);
  CHECK_FALSE(net.blocks[0].weight.requires_grad());
  CHECK(net.stem.weight.requires_grad());
  freeze(net.blocks[0], false);
  CHECK(net.blocks[0].weight.requires_grad());
}

TEST_CASE("handles taken before see the gradient after a layer has rested, and after a move to where it is") {
  Net net;
  const Tensor<float> handle = net.stem.weight;
  const auto reaches = [&] {
    zero_grad(net);
    backward(net.stem.weight, ones<float>({2, 3}));
    return handle.grad().defined();
  };
  freeze(net);
  CHECK_FALSE(handle.grad().defined());
  freeze(net, false);
  CHECK(reaches());
  move_to(net, Device::cpu());
  CHECK(reaches());
}

TEST_CASE("a copy of a model shares its values, a clone has its own") {
  Net net;
  name_parameters(net);
  net.blocks[1].weight = net.blocks[0].weight;
  Net copy = net, other = clone(net);
  net.blocks[0].weight.data()[0] = 7, net.stem.mean.data()[0] = 7;
  CHECK(copy.blocks[0].weight.data()[0] == 7);
  CHECK(other.blocks[0].weight.data()[0] == 1);
  CHECK(other.stem.mean.data()[0] == 0);
  CHECK(other.blocks[1].weight.data() == other.blocks[0].weight.data());
  CHECK(other.blocks[0].weight.requires_grad());
  CHECK(other.blocks[0].weight.name == "blocks.0.weight");
  backward(other.stem.weight, ones<float>({2, 3}));
  CHECK_FALSE(net.stem.weight.grad().defined());
}

TEST_CASE("layers that share a parameter still do after a move, and it counts once") {
  Net net;
  const Index apart = parameter_count(net);
  net.blocks[1].weight = net.blocks[0].weight;
  CHECK(parameter_count(net) == apart - net.blocks[0].weight.size());
  move_to(net, Device::cpu());
  CHECK(net.blocks[1].weight.data() == net.blocks[0].weight.data());
  CHECK(net.blocks[1].weight.autograd() == net.blocks[0].weight.autograd());
}

TEST_CASE("parameters keep name and place through assign and move_to") {
  Net net;
  name_parameters(net);
  CHECK(net.blocks[1].weight.name == "blocks.1.weight");
  CHECK(net.blocks[1].mean.name == "blocks.1.mean");
  net.stem.weight.assign(zeros<float>({2, 3}));
  move_to(net, Device::cpu());
  CHECK(net.stem.weight.name == "stem.weight");
  CHECK(net.stem.mean.name == "stem.mean");
  CHECK(net.stem.weight.requires_grad());
  CHECK(net.stem.weight.at({1, 2}) == 0);
  CHECK(test::error_of([&] {
          net.stem.weight.assign(zeros<float>({3, 2}));
        }) == "stem.weight: values of shape (3, 2) for a parameter of shape (2, 3)");
}

TEST_CASE("an error inside a layer says where in the network the layer is") {
  Parameter<float> weight(ones<float>({1}));
  const auto fail = [&] { located(weight, []() -> int { throw ShapeError("conv2d: no"); }); };
  CHECK(test::error_of(fail) == "conv2d: no");
  weight.name = "layer3.0.conv2.weight";
  CHECK(test::error_of(fail) == "layer3.0.conv2: conv2d: no");
}

TEST_CASE("a call log sees the calls made while it lives, the innermost one") {
  CHECK(CallLog::open() == nullptr);
  const CallLog outer;
  {
    CallLog inner;
    CHECK(CallLog::open() == &inner);
    inner.add({.path = "a", .kind = "Linear", .output = {1}, .products = 5, .matmuls = 2});
    CHECK(inner.calls().at(0).executed == 7);
  }
  CHECK(CallLog::open() == &outer);
}
