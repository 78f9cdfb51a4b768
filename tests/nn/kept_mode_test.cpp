// SPDX-License-Identifier: MIT
#include "gram/nn/kept_mode.hpp"

#include "gram/nn/conv2d.hpp"
#include "support.hpp"

using namespace gram;

namespace {

struct TwoLayers {
  void visit(auto&& parts) { parts("conv", conv), parts("first", first), parts("second", second); }
  Rng rng{1};
  Conv2d<float> conv{{.in = 2, .out = 3, .kernel = 3}, rng};
  Mode first, second;
};

}  // namespace

TEST_CASE("a model is put back into the mode of each of its layers, also by an exception") {
  TwoLayers net;
  net.second.training = false;  // a part that stays as it was trained before
  for (const bool fails : {false, true}) {
    CAPTURE(fails);
    test::error_of([&] {
      const KeptMode kept(net);
      fails ? eval(net) : train(net);
      CHECK(net.first.training != fails);
      if (fails) throw Error("within");
    });
    CHECK(net.first.training);
    CHECK_FALSE(net.second.training);
    CHECK_FALSE(net.conv.weight.fused);
  }
}

TEST_CASE("weights that were fused are fused again, and what was made of them before is not believed") {
  TwoLayers net;
  const Tensor<float> x = ones<float>({1, 4, 4, 2});
  const NoGrad off;
  fuse_for_inference(net);
  net.conv(x);
  REQUIRE(net.conv.weight.prepared);
  {
    const KeptMode kept(net);
    train(net);
    CHECK_FALSE(net.conv.weight.fused);
    net.conv.weight.data()[0] += 1;
  }
  CHECK(net.conv.weight.fused);
  CHECK_FALSE(net.first.training);
  const Tensor<float> fused = net.conv(x);
  REQUIRE(net.conv.weight.prepared);
  eval(net);
  {
    const KeptMode kept(net);
    fuse_for_inference(net);
    CHECK(test::identical(net.conv(x), fused));
  }
  CHECK_FALSE(net.conv.weight.fused);
  CHECK_FALSE(net.conv.weight.prepared);
  CHECK(test::close(net.conv(x), fused, 1e-6));
}
