// SPDX-License-Identifier: MIT
#include "gram/train/progress.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("a progress line shows epoch, step, rate, ETA, loss, accuracies and learning rate") {
  const ProgressState state{.epoch = 2,
                            .epochs = 10,
                            .step = 100,
                            .steps = 300,
                            .images = 12800,
                            .seconds = 32,
                            .loss = 1.25,
                            .accuracy = 0.6125,
                            .head_accuracy = {0.5, 0.625},
                            .learning_rate = 0.05};
  CHECK(progress_text(state) ==
        "epoch 2/10  step 100/300  400 img/s  ETA 1:04  loss 1.2500  acc 61.25 %  [50.0 62.5]  lr 0.05");
}

TEST_CASE("durations are short") {
  CHECK(duration_text(9.4) == "9 s");
  CHECK(duration_text(62) == "1:02");
  CHECK(duration_text(7509) == "2:05:09");
}

TEST_CASE("without a terminal progress becomes plain lines, the last step of an epoch always among them") {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    Progress progress({.stream = file, .plain_seconds = 1e9});
    ProgressState state{.epoch = 1, .epochs = 1, .step = 0, .steps = 3};
    for (state.step = 1; state.step <= 3; ++state.step) progress.show(state);
  }
  std::rewind(file);
  char text[512] = {};
  const std::size_t length = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  const std::string written(text, length);
  CHECK(written.find("step 3/3") != std::string::npos);
  CHECK(written.find("step 1/3") == std::string::npos);
  CHECK(written.find('\r') == std::string::npos);
  CHECK(written.back() == '\n');
}
