#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is needed, builds, trains one backbone with three kinds of classifier on textures that the program draws
# itself, and shows a table, learning curves (demo.png) and predictions. Takes some minutes.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh
cmake --preset release -DGRAM_BUILD_TESTS=OFF -DGRAM_BUILD_BENCH=OFF -B build/demo > /dev/null
cmake --build build/demo --target demo
build/demo/examples/demo "$@"
