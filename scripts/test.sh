#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is needed, builds everything and runs all tests.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(nproc)}  # most tests keep one processor busy
cmake --workflow --preset release
[ -d "${GRAM_SHARED:-../shared}" ] || echo "Not compared with the authors' numbers: ${GRAM_SHARED:-../shared} is not there."
