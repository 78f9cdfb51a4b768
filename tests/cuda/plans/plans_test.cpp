// SPDX-License-Identifier: MIT
// What cuDNN offers for an H200 can be asked without one: a device may be described in words. Engines that
// are compiled at run time want a driver, and are left out here.
#include <set>

#include "gram/cuda/attention_graph.cuh"
#include "gram/cuda/conv2d_graph.cuh"
#include "gram/cuda/conv2d_method.hpp"
#include "gram/cuda/cudnn_plan.cuh"
#include "gram/cuda/gelu_graph.cuh"
#include "gram/gram.hpp"
#include "support.hpp"

using namespace gram;
using namespace gram::cuda;
namespace {

const Descriptor& h200() {
  static const Descriptor properties = device_properties(
      R"({"deviceVer":900,"driverVer":13000,"cudaDeviceId":0,"maxGridSize":[2147483647,65535,65535],)"
      R"("maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":132,"warpSize":32,)"
      R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,)"
      R"("reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,)"
      R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,)"
      R"("supportCoopLaunch":1,"smClockRateKHz":1980000,"memClockRateKHz":3201000,"l2CacheSize":62914560,)"
      R"("totalGlobalMem":150110011392,"deviceName":"NVIDIA H200"})");
  return properties;
}

/// The convolutions of a network on 256 images that cuDNN gets.
std::vector<Conv2dShape> convolutions(const char* name) {
  Rng rng(1);
  auto model = models::create<float>(name, {}, rng);
  std::map<std::string, Shape> weights;
  for_each_parameter(model, [&](const std::string& path, const auto& p) { weights[path] = p.shape(); });
  const NoGrad no_grad;
  const CallLog log;
  eval(model);
  model(zeros<float>({1, model.info().size.h, model.info().size.w, 3}));
  std::vector<Conv2dShape> found;
  std::set<std::string> seen;
  for (const LayerCall& call : log.calls()) {
    if (std::string_view(call.kind) != "Conv2d" || !call.input.size()) continue;
    const Shape weight = weights.at(call.path + ".weight");
    const auto stride = [&](int axis) {
      return (call.input[axis] + call.output[axis] - 1) / call.output[axis];
    };
    Conv2dShape s{256, call.input[1], call.input[2], call.input[3], weight[0], weight[1], weight[2]};
    s.stride = {stride(1), stride(2)};
    s.groups = s.c / weight[3];
    while (s.h + 2 * s.padding.h < s.kh || s.out_h() < call.output[1]) ++s.padding.h;
    while (s.w + 2 * s.padding.w < s.kw || s.out_w() < call.output[2]) ++s.padding.w;
    CAPTURE(call.path);
    REQUIRE(s.out_h() == call.output[1]);
    REQUIRE(s.out_w() == call.output[2]);
    if (takes_blocks(s)) s = block_shape(s);
    if (is_product(s) || is_depthwise(s)) continue;
    const std::string key = text(s.h, " ", s.w, " ", s.c, " ", s.o, " ", s.kh, " ", s.kw, " ", s.stride, " ",
                                 s.padding, " ", s.groups);
    if (seen.insert(key).second) found.push_back(s);
  }
  return found;
}

TEST_CASE("cuDNN has plans for the convolutions of networks, with little memory besides") {
  PlanRules rules;
  rules.most_workspace = Index{32} << 20;
  const PlanTarget target{.properties = &h200()};
  for (const char* name : {"ga_resnet50", "ga_resnet29", "ga_resnet110", "ga_convnext_tiny_768"}) {
    const auto shapes = convolutions(name);
    CHECK(shapes.size() >= 2);
    for (const Conv2dShape& s : shapes) {
      CAPTURE(text(name, ": x (", s.n, ", ", s.h, ", ", s.w, ", ", s.c, "), weight (", s.o, ", ", s.kh, ", ",
                   s.kw, "), stride ", s.stride, ", padding ", s.padding, ", groups ", s.groups));
      auto y = conv2d_graph<bf16>(s, false, false, false);
      auto dx = conv2d_grad_input_graph<bf16>(s), dw = conv2d_grad_weight_graph<bf16>(s);
      CHECK(make_plans(y, target, rules, 1).size() == 1);
      CHECK(make_plans(dx, target, rules, 1).size() == 1);
      CHECK(make_plans(dw, target, rules, 1).size() == 1);
    }
  }
}

TEST_CASE("a plan can be made again from what the file keeps of it") {
  const Conv2dShape s{256, 56, 56, 64, 64, 3, 3, 1, 1};
  const PlanTarget target{.properties = &h200()};
  auto graph = conv2d_graph<bf16>(s, false, false, false);
  const auto plans = make_plans(graph, target, {}, 3);
  REQUIRE(plans.size() == 3);
  CHECK(plans[0].choice != plans[1].choice);
  for (const CudnnPlan& plan : plans) {
    const CudnnPlan again = plan_of(config_of(plan.choice, graph.finish(), target), graph, target);
    CHECK(again.choice == plan.choice);
    CHECK(again.workspace == plan.workspace);
    CHECK(again.json() == plan.json());
  }
  CHECK_THROWS_AS(config_of({.engine = 100000, .knobs = {}}, graph.finish(), target), DeviceError);
}

TEST_CASE("float is multiplied as it is, unless TF32 is allowed") {
  const Conv2dShape s{256, 56, 56, 64, 64, 3, 3, 1, 1};
  const PlanTarget target{.properties = &h200()};
  auto graph = conv2d_graph<float>(s, false, false, false);
  const auto strict = make_plans(graph, target, {.rounding = false}, 1),
             rounded = make_plans(graph, target, {}, 1);
  REQUIRE(strict.size() == 1);
  REQUIRE(rounded.size() == 1);
  CHECK(strict[0].choice != rounded[0].choice);
}

TEST_CASE("errors say what cuDNN says") {
  const Conv2dShape nonsense{1, 4, 4, 8, 8, 9, 9};  // the result would be empty
  const std::string error =
      test::error_of([&] { conv2d_graph<bf16>(nonsense, false, false, false).finish(); });
  CHECK(error.starts_with("cudnn: "));
  CHECK(error.find("CUDNN_STATUS_BAD_PARAM") != error.npos);
}

TEST_CASE("attention and its gradients are graphs that cuDNN accepts") {
  for (const auto& s : {kernels::AttentionShape{256, 6, 197, 197, 64, 64, 3 * 384, 3 * 384, 3 * 384, 0.125},
                        kernels::AttentionShape{2, 1, 5, 9, 8, 16, 8, 8, 16, 1}}) {
    CHECK(test::error_of([&] { attention_graph(s).finish(); }) == "");
    CHECK(test::error_of([&] { attention_grad_graph(s).finish(); }) == "");
  }
}

TEST_CASE("linear maps with GELU are graphs that cuDNN accepts") {
  for (const bool bias : {false, true})
    for (const bool keep : {false, true})
      CHECK(test::error_of([&] { gelu_linear_graph(256 * 197, 384, 1536, bias, keep).finish(); }) == "");
  CHECK(test::error_of([&] { gelu_linear_grad_graph(256 * 197, 1536, 384).finish(); }) == "");
}

}  // namespace
