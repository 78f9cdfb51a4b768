#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a project that uses gram through add_subdirectory, and again through an installed package: check_consumer.sh [compiler]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CXX=${1:-c++}
cmake -S "$root/tests/consumer" -B "$work/sub" -DGRAM_SUBDIRECTORY="$root" > "$work/log" && cmake --build "$work/sub" --target consumer >> "$work/log" || { cat "$work/log"; exit 1; }
"$work/sub/consumer"
cmake -S "$root" -B "$work/build" -DCMAKE_INSTALL_PREFIX="$work/prefix" -DGRAM_BUILD_TESTS=OFF -DGRAM_BUILD_EXAMPLES=OFF -DGRAM_BUILD_BENCH=OFF > "$work/log" &&
  cmake --build "$work/build" --parallel >> "$work/log" && cmake --install "$work/build" >> "$work/log" &&
  cmake -S "$root/tests/consumer" -B "$work/found" -DCMAKE_PREFIX_PATH="$work/prefix" >> "$work/log" &&
  cmake --build "$work/found" >> "$work/log" || { cat "$work/log"; exit 1; }
"$work/found/consumer"
