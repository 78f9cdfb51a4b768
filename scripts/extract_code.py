#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the C++ blocks of a Markdown page into one file, so that what a page shows is compiled: extract_code.py page output"""
import pathlib
import re
import sys

page, output = map(pathlib.Path, sys.argv[1:3])
blocks = re.findall(r"^```cpp\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{page}: no C++ blocks")
output.write_text("\n".join(blocks))
