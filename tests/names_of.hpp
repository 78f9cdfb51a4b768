// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include "gram/nn/module.hpp"

namespace gram::test {

/// The names of all parameters, each with a space behind it.
std::string names_of(auto& model) {
  std::string names;
  for_each_parameter(model, [&](const std::string& name, auto&) { names += name + " "; });
  return names;
}

}  // namespace gram::test
