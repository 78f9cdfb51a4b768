#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiles every header on its own: check_headers.sh [compiler]
set -eu
cd "$(dirname "$0")/.."
compiler=${1:-c++}
flags="-std=c++20 -fopenmp -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -Iinclude"
check() { echo "#include \"gram/$1\"" | $2 $3 -x c++ - || { echo "gram/$1 does not stand alone"; exit 1; }; }
export -f check
# That of MPI needs MPI.
if mpi=$(mpicxx --showme:compile 2> /dev/null); then flags="$flags ${mpi//-I/-isystem }"; without_mpi=""; else without_mpi="! -name mpi_communicator.hpp"; fi
# instantiate.hpp is the source of gram::compiled, not a header to include.
(cd include/gram && find . -name '*.hpp' ! -name instantiate.hpp ! -name 'for_each_*isa.hpp' $without_mpi | sed 's|^\./||' | sort) |
  xargs -P "$(nproc)" -I{} bash -c 'check "$0" "$1" "$2"' {} "$compiler" "$flags"
echo "all headers stand alone"
