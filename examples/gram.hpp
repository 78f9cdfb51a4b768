// SPDX-License-Identifier: MIT
// The verbs of the gram program and what they take.
#pragma once
#include <string>

#include "gram/models/registry.hpp"

namespace examples {

struct Arguments {
  std::string model;
  gram::models::CreateOptions create = {};
  bool json = false;
  int threads = 0;  ///< 0: OMP_NUM_THREADS or, without it, all processors
  std::string precision = "float32";
  std::string device = "cpu";
  // run
  std::string weights = {}, input = {}, output = {};
  bool train = false, backward = false;
  // bench
  std::string mode = "infer", optimizer = "adamw";
  gram::Index batch = 8;
  double seconds = 3;
  bool fold_norms = false, graphs = true, latency = false;
};

void list_models(const Arguments& arguments);
void show_info(const Arguments& arguments);
void run_model(const Arguments& arguments);
void show_build(const Arguments& arguments);
void bench_model(const Arguments& arguments);

}  // namespace examples
