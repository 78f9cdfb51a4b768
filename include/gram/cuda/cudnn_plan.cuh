// SPDX-License-Identifier: MIT
// Plans of a graph: cuDNN names engines in the order in which it believes in them, some of which turn out not
// to fit.
#pragma once
#include <algorithm>

#include "gram/cuda/cudnn_graph.cuh"
#include "gram/cuda/plan_file.hpp"

namespace gram::cuda {

/// What plans may do.
struct PlanRules {
  bool rounding = true;  ///< products on tensor cores, which round operands of float
  Index most_workspace = Index{1} << 30;
};

/// A way to run a graph.
struct CudnnPlan {
  Descriptor config, plan;
  PlanChoice choice;
  std::vector<std::int64_t> ids;  ///< of the tensors, in the order of execution's pointers
  Index workspace = 0;

  std::string json() const {
    const auto characters =
        plan.get_all<char>(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, std::int64_t{1} << 20);
    return {characters.begin(), characters.end()};
  }
};

/// The engine of a configuration.
inline Descriptor engine_of(const Descriptor& config) {
  auto engines = config.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  require<DeviceError>(!engines.empty(), "cudnn: a configuration without engine");
  return std::move(engines[0]);
}

inline PlanChoice choice_of(const Descriptor& config) {
  PlanChoice choice{.engine = engine_of(config).get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX),
                    .knobs = {}};
  for (const Descriptor& knob :
       config.get_descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, 64))
    choice.knobs.emplace_back(knob.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                              knob.get<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  return choice;
}

/// The configuration of an earlier choice. Throws DeviceError when this cuDNN knows it no more.
inline Descriptor config_of(const PlanChoice& choice, const Descriptor& graph, PlanTarget target) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  if (target.properties) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.properties);
  engine.finish("engine");
  std::vector<Descriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (const auto& [type, value] : choice.knobs) {
    Descriptor knob(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    knob.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(type))
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value)
        .finish("knob");
    handles.push_back(knobs.emplace_back(std::move(knob)).handle());
  }
  Descriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!handles.empty()) config.set_descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, handles);
  config.finish("engine configuration");
  return config;
}

/// Whether the engine makes the same bits in every run, with sums in float; unless operands may be rounded,
/// also of the operands as they are, which transforms of them (Winograd's, Fourier's) are not.
inline bool keeps_rules(const Descriptor& config, const PlanRules& rules) {
  const auto notes = engine_of(config).get_all<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                            CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  return std::none_of(notes.begin(), notes.end(), [&](cudnnBackendNumericalNote_t note) {
    return note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
           note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
           (!rules.rounding &&
            (note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
             note == CUDNN_NUMERICAL_NOTE_FFT ||
             (note >= CUDNN_NUMERICAL_NOTE_WINOGRAD && note <= CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)));
  });
}

/// The plan of a configuration. Throws DeviceError when the engine does not fit after all.
inline CudnnPlan plan_of(Descriptor config, const CudnnGraph& graph, PlanTarget target) {
  PlanChoice choice = choice_of(config);
  CudnnPlan made{std::move(config), Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), std::move(choice),
                 graph.ids()};
  made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, made.config);
  if (target.handle) made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.properties) made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties);
  made.plan.finish("plan");
  made.workspace = made.plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  return made;
}

/// What cuDNN proposes for a graph; empty when it has nothing.
inline std::vector<Descriptor> proposals(CudnnGraph& graph, PlanTarget target, cudnnBackendHeurMode_t mode) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.finish()).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  if (target.properties) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties);
  heuristic.finish("heuristic");
  return heuristic.get_descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, 64);
}

/// The first plans that can be made, at most so many. Empty when cuDNN has none for the graph. An engine that
/// does not fit may take a second to say so; after a few dozen the search ends.
inline std::vector<CudnnPlan> make_plans(CudnnGraph& graph, PlanTarget target, const PlanRules& rules,
                                         std::size_t most) {
  std::vector<CudnnPlan> plans;
  int refusals = 0;
  constexpr int most_refusals = 24;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    std::vector<Descriptor> configs;
    try {
      configs = proposals(graph, target, mode);
    } catch (const DeviceError&) {  // no engine of this mode
    }
    for (Descriptor& config : configs) try {
        if (plans.size() >= most || refusals == most_refusals) return plans;
        if (!keeps_rules(config, rules)) continue;
        CudnnPlan plan = plan_of(std::move(config), graph, target);
        const bool known = std::any_of(plans.begin(), plans.end(),
                                       [&](const CudnnPlan& p) { return p.choice == plan.choice; });
        if (!known && plan.workspace <= rules.most_workspace) plans.push_back(std::move(plan));
      } catch (const DeviceError&) {  // an engine that does not fit
        ++refusals;
      }
  }
  return plans;
}

}  // namespace gram::cuda
