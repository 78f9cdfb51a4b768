// SPDX-License-Identifier: MIT
#include "curves.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "gram/core/file.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
// In this order: the font is one file of functions.
#include <stb_easy_font.h>
#pragma GCC diagnostic pop

namespace examples {
namespace {

using Color = std::array<std::uint8_t, 3>;

constexpr int width = 800, height = 500;
constexpr int left = 70, right = 780, top = 45, bottom = 450;
constexpr Color black{30, 30, 30}, grey{215, 215, 215};
constexpr std::array<Color, 6> palette{
    {{31, 119, 180}, {214, 39, 40}, {44, 160, 44}, {255, 127, 14}, {148, 103, 189}, {23, 190, 207}}};

class Canvas {
 public:
  void dot(int x, int y, Color color) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    std::copy(color.begin(), color.end(), pixels_.begin() + (y * width + x) * 3);
  }
  void box(int x0, int y0, int x1, int y1, Color color) {
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x) dot(x, y, color);
  }
  void line(double x0, double y0, double x1, double y1, Color color) {
    const int steps = 1 + static_cast<int>(2 * std::max(std::abs(x1 - x0), std::abs(y1 - y0)));
    for (int i = 0; i <= steps; ++i) {
      const int x = static_cast<int>(x0 + (x1 - x0) * i / steps),
                y = static_cast<int>(y0 + (y1 - y0) * i / steps);
      box(x, y, x + 2, y + 2, color);
    }
  }
  /// Letters are quads on a grid of pixels, drawn at `scale`.
  void text(int x, int y, std::string words, Color color, int scale = 2) {
    struct Corner {
      float x, y, z;
      std::uint8_t color[4];
    };
    std::vector<Corner> corners(words.size() * 68 + 4);
    const int quads = stb_easy_font_print(0, 0, words.data(), nullptr, corners.data(),
                                          static_cast<int>(corners.size() * sizeof(Corner)));
    for (int q = 0; q < quads; ++q) {
      const Corner &a = corners[static_cast<std::size_t>(q) * 4],
                   &b = corners[static_cast<std::size_t>(q) * 4 + 2];
      const auto place = [&](float at) { return static_cast<int>(at * static_cast<float>(scale)); };
      box(x + place(a.x), y + place(a.y), x + place(b.x), y + place(b.y), color);
    }
  }
  /// Throws FileError when the file cannot be written.
  void write(const std::string& path) const {
    gram::OutputFile file(path);
    std::string png;
    const auto append = [](void* to, void* bytes, int count) {
      static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
    };
    stbi_write_png_to_func(append, &png, width, height, 3, pixels_.data(), width * 3);
    file.write(png);
    file.commit();
  }

 private:
  std::vector<std::uint8_t> pixels_ = std::vector<std::uint8_t>(width * height * 3, 255);
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

void draw_curves(const std::string& path, const std::string& title, const std::string& x_label,
                 const std::vector<Curve>& curves) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  std::size_t count = 2;
  for (const Curve& curve : curves) {
    count = std::max(count, curve.values.size());
    for (const double v : curve.values) low = std::min(low, v), high = std::max(high, v);
  }
  if (!(low < high)) low -= 1, high = low + 2;
  const double tick = std::pow(10, std::floor(std::log10(high - low)));
  const double step = (high - low) / tick > 4 ? tick : (high - low) / tick > 2 ? tick / 2 : tick / 5;
  low = std::floor(low / step) * step, high = std::ceil(high / step) * step;
  const auto at_x = [&](double x) {
    return left + (x - 1) / static_cast<double>(count - 1) * (right - left);
  };
  const auto at_y = [&](double y) { return bottom - (y - low) / (high - low) * (bottom - top); };

  Canvas canvas;
  canvas.text(left, 12, title, black);
  canvas.text((left + right) / 2 - 30, height - 24, x_label, black);
  for (int i = 0; low + i * step <= high + step / 2; ++i) {
    const double y = low + i * step;
    canvas.box(left, static_cast<int>(at_y(y)), right, static_cast<int>(at_y(y)) + 1, grey);
    canvas.text(8, static_cast<int>(at_y(y)) - 7, number(std::round(y / step) * step), black);
  }
  for (std::size_t x = 1; x <= count; x += std::max<std::size_t>(1, count / 10))
    canvas.text(static_cast<int>(at_x(static_cast<double>(x))) - 5, bottom + 8, std::to_string(x), black);
  canvas.box(left, top, left + 1, bottom, black);
  canvas.box(left, bottom, right, bottom + 1, black);

  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Color color = palette[c % palette.size()];
    const auto& values = curves[c].values;
    for (std::size_t i = 1; i < values.size(); ++i)
      canvas.line(at_x(static_cast<double>(i)), at_y(values[i - 1]), at_x(static_cast<double>(i + 1)),
                  at_y(values[i]), color);
    const int y = bottom - 20 * static_cast<int>(curves.size() - c) - 6;
    canvas.box(right - 320, y + 6, right - 290, y + 9, color);
    canvas.text(right - 282, y, curves[c].name, black);
  }
  canvas.write(path);
}

}  // namespace examples
