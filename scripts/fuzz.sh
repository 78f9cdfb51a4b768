#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes every parser for some seconds each with clang's libFuzzer and the sanitizers: fuzz.sh [seconds]
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh clang libclang-rt-14-dev
mkdir -p build/fuzz
for target in tests/fuzz/*_fuzz.cpp; do
  name=$(basename "$target" .cpp)
  clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I include "$target" -o "build/fuzz/$name"
  mkdir -p "build/fuzz/corpus_$name"
  "build/fuzz/$name" -max_total_time="${1:-60}" -rss_limit_mb=4096 -artifact_prefix=build/fuzz/ "build/fuzz/corpus_$name" 2> "build/fuzz/$name.log" ||
    { tail -n 40 "build/fuzz/$name.log"; exit 1; }
  echo "$name: $(grep -o 'Done [0-9]* runs' "build/fuzz/$name.log"), nothing found"
done
