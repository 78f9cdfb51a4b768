// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

namespace examples {

/// One line of a plot: values at x = 1, 2, 3, ..
struct Curve {
  std::string name;
  std::vector<double> values;
};

/// Draws learning curves into a PNG file of 800 x 500 pixels. Throws gram::FileError when it cannot be
/// written.
void draw_curves(const std::string& path, const std::string& title, const std::string& x_label,
                 const std::vector<Curve>& curves);

}  // namespace examples
