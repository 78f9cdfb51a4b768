#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a project that uses gram: the headers through add_subdirectory, and the compiled library from an installation of a
# build that is done; or, with a third argument, the CUDA backend from there.   check_consumer.sh compiler build-folder [cuda]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CXX=$1
target=gram::compiled
[ -z "${3-}" ] || target='gram::compiled;gram::cuda'
{
  if [ -z "${3-}" ]; then
    cmake -S "$root/tests/consumer" -B "$work/sub" -DGRAM_SUBDIRECTORY="$root" -DGRAM_TARGET=gram::gram
    cmake --build "$work/sub" --target consumer
  fi
  cmake --install "$2" --prefix "$work/prefix"
  cmake -S "$root/tests/consumer" -B "$work/found" -DCMAKE_PREFIX_PATH="$work/prefix" -DGRAM_TARGET="$target"
  cmake --build "$work/found"
} > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ -n "${3-}" ] || "$work/sub/consumer"
"$work/found/consumer" ${3-}
