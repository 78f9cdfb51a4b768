// SPDX-License-Identifier: MIT
#pragma once
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "gram/core/shape.hpp"

namespace gram {

/// What a progress line shows; times are in seconds.
struct ProgressState {
  Index epoch = 0, epochs = 0;  ///< counted from 1
  Index step = 0, steps = 0;    ///< within the epoch
  Index images = 0;             ///< seen in this epoch
  double seconds = 0;           ///< spent in this epoch
  double loss = 0;              ///< mean over the epoch so far
  double accuracy = 0;          ///< of the aggregated prediction, in [0, 1]
  std::vector<double> head_accuracy = {};
  double learning_rate = 0;
};

/// "2:05:09", "1:02" or "9 s".
inline std::string duration_text(double seconds) {
  const auto s = std::lround(seconds);
  char text[48];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else if (s >= 60)
    std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%ld s", s);
  return text;
}

/// One line: epoch 2/10  step 120/391  412 img/s  ETA 1:02  loss 1.234  acc 61.2 % [58.1 57.9 58.4]  lr
/// 0.0480 The ETA is that of the epoch. Heads are listed when there are several.
inline std::string progress_text(const ProgressState& s) {
  const double rate = s.seconds > 0 ? static_cast<double>(s.images) / s.seconds : 0;
  const double left =
      s.step > 0 ? s.seconds / static_cast<double>(s.step) * static_cast<double>(s.steps - s.step) : 0;
  char text[256];
  std::snprintf(
      text, sizeof text, "epoch %lld/%lld  step %lld/%lld  %.0f img/s  ETA %s  loss %.4f  acc %.2f %%",
      static_cast<long long>(s.epoch), static_cast<long long>(s.epochs), static_cast<long long>(s.step),
      static_cast<long long>(s.steps), rate, duration_text(left).c_str(), s.loss, 100 * s.accuracy);
  std::string line = text;
  if (s.head_accuracy.size() > 1) {
    for (std::size_t i = 0; i < s.head_accuracy.size(); ++i) {
      std::snprintf(text, sizeof text, "%s%.1f", i ? " " : "  [", 100 * s.head_accuracy[i]);
      line += text;
    }
    line += "]";
  }
  std::snprintf(text, sizeof text, "  lr %.4g", s.learning_rate);
  return line + text;
}

/// Shows progress on a stream. On a terminal one line is rewritten four times a second; elsewhere a plain
/// line is written every `plain_seconds` and at the end of each epoch.
class Progress {
 public:
  struct Options {
    std::FILE* stream = stderr;
    double plain_seconds = 10;
  };

  Progress() : Progress(Options{}) {}
  explicit Progress(Options options)
      : stream_(options.stream),
        plain_seconds_(options.plain_seconds),
        terminal_(isatty(fileno(options.stream)) == 1) {}

  /// Whether show() would show a line now.
  bool due(bool last_step) const {
    const double interval = terminal_ ? 0.25 : plain_seconds_;
    return last_step || std::chrono::duration<double>(Clock::now() - shown_).count() >= interval;
  }
  void show(const ProgressState& state) {
    const bool last = state.step == state.steps;
    if (!due(last)) return;
    shown_ = Clock::now();
    const std::string line = progress_text(state);
    if (terminal_)
      std::fputs(("\r\x1b[K" + line + (last ? "\n" : "")).c_str(), stream_);
    else
      std::fputs((line + "\n").c_str(), stream_);
    std::fflush(stream_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::FILE* stream_;
  double plain_seconds_;
  bool terminal_;
  Clock::time_point shown_ = Clock::now();
};

}  // namespace gram
