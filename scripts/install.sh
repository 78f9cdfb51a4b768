#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building gram needs, from Debian's packages. Extra packages can be named: install.sh clang clang-tidy
set -eu
packages="g++ cmake ninja-build python3 libeigen3-dev doctest-dev nlohmann-json3-dev libstb-dev libcli11-dev $*"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing > /dev/null
