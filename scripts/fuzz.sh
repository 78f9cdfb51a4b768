#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes every parser for some seconds each, several at once, with clang's libFuzzer and the sanitizers:
# fuzz.sh [seconds]
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh clang libclang-rt-14-dev
mkdir -p build/fuzz
fuzz() { # name, seconds
  clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I include "tests/fuzz/$1.cpp" -o "build/fuzz/$1"
  mkdir -p "build/fuzz/corpus_$1"
  "build/fuzz/$1" -max_total_time="$2" -rss_limit_mb=4096 -artifact_prefix=build/fuzz/ "build/fuzz/corpus_$1" 2> "build/fuzz/$1.log" ||
    { tail -n 40 "build/fuzz/$1.log"; exit 1; }
  echo "$1: $(grep -o 'Done [0-9]* runs' "build/fuzz/$1.log"), nothing found"
}
export -f fuzz
printf '%s\n' tests/fuzz/*_fuzz.cpp | xargs -n 1 basename -s .cpp | xargs -P "$(nproc)" -I{} bash -euc 'fuzz "$0" "$1"' {} "${1:-60}"
