// SPDX-License-Identifier: MIT
#include "gram/optim/parameters.hpp"

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/linear.hpp"
#include "support.hpp"

using namespace gram;

namespace {

template <Scalar T>
struct Net {
  void visit(auto&& parts) { parts("body", body), parts("norm", norm), parts("head", head); }

  Rng rng{1};
  Linear<T> body{{.in = 3, .out = 4}, rng};
  BatchNorm2d<T> norm{{.channels = 4}};
  Linear<T> head{{.in = 4, .out = 2, .bias = false}, rng};
};

struct NetAndLayer {
  void visit(auto&& parts) { parts("net", net), parts("tied", tied); }

  Net<float>& net;
  Linear<float>& tied;
};

template <Scalar T>
std::string listing(const ParameterList<T>& list) {
  std::string all;
  list.for_each([&](const auto& p) { all += text(p.name, " ", p.decay_factor * p.lr_factor, ", "); });
  return all;
}

}  // namespace

TEST_CASE("what has one axis does not decay, what is frozen is not learned") {
  Net<float> net;
  CHECK(listing(named_parameters<float>(net)) ==
        "body.weight 1, body.bias 0, norm.weight 0, norm.bias 0, head.weight 1, ");
  freeze(net.body);
  auto list = named_parameters<float>(net);
  CHECK(list.size() == 3);
  list.for_each([](auto& p) {
    if (p.name.starts_with("head")) p.lr_factor = 10;
  });
  CHECK(listing(list) == "norm.weight 0, norm.bias 0, head.weight 10, ");
}

TEST_CASE("what two layers share is in the list once, under its first name") {
  Net<float> net;
  Linear<float> tied({.in = 4, .out = 2, .bias = false}, net.rng);
  NetAndLayer both{net, tied};
  CHECK(named_parameters<float>(both).size() == 6);
  tied.weight = net.head.weight;
  CHECK(listing(named_parameters<float>(both)) ==
        "net.body.weight 1, net.body.bias 0, net.norm.weight 0, net.norm.bias 0, net.head.weight 1, ");
}

TEST_CASE("the parameters of a list are those of the network, of both types in bf16") {
  Net<bf16> net;
  const auto list = named_parameters<bf16>(net);
  CHECK(listing(list) == "body.weight 1, body.bias 0, head.weight 1, norm.weight 0, norm.bias 0, ");
  list.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
    if (p.name == "norm.bias") CHECK((std::is_same_v<P, float>));
    if (p.name == "head.weight") CHECK((std::is_same_v<P, bf16>));
    p.value.data()[0] = P(7.0F);
  });
  CHECK(net.norm.weight.data()[0] == 7);
  CHECK(static_cast<float>(net.head.weight.data()[0]) == 7);
}

TEST_CASE("parameters of another type are not passed over in silence") {
  Net<float> net;
  Net<bf16> rounded;
  CHECK(test::error_of([&] { named_parameters<double>(net); }) ==
        "named_parameters: body.weight is of float, but parameters of double are asked for");
  CHECK(test::error_of([&] {
          named_parameters<float>(rounded);
        }).ends_with("is of bf16, but parameters of float are asked for"));
}
