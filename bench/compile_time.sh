#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Seconds to compile: all headers with an empty main; the GA-ResNet example from headers alone; the same against
# gram::compiled.
# Prints the smallest of three runs of each.   compile_time.sh [compiler]
set -eu
cd "$(dirname "$0")/.."
compiler=${1:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c++20 -fopenmp -I include -I /usr/include/eigen3"

measure() { # label, limit, command
  best=""
  for _ in 1 2 3; do
    start=$(date +%s%N)
    $3
    took=$((($(date +%s%N) - start) / 1000000))
    [ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
  done
  printf '%-58s %6.2f s   (limit %s s)\n' "$1" "$(echo "$best" | awk '{print $1 / 1000}')" "$2"
}

printf '#include <gram/gram.hpp>\nint main() {}\n' > "$work/empty.cpp"
$compiler --version | head -n 1
measure "gram.hpp, empty main" 3 "$compiler $flags -c $work/empty.cpp -o $work/empty.o"
measure "train_ga_resnet.cpp, headers only, -O2" 30 "$compiler $flags -O2 -c examples/train_ga_resnet.cpp -o $work/a.o"
measure "train_ga_resnet.cpp with gram::compiled, -O2" 8 "$compiler $flags -O2 -DGRAM_COMPILED -c examples/train_ga_resnet.cpp -o $work/b.o"
