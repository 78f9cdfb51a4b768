// SPDX-License-Identifier: MIT
#pragma once

/// The library's version; CMake reads it here.
#define GRAM_VERSION "0.1.0"
