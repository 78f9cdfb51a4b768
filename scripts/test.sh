#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is needed, builds everything and runs all tests.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh
cmake --workflow --preset release
