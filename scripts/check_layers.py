#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when an #include in include/gram runs upward in the plan of the house (docs/architecture.md)."""
import pathlib
import re
import sys

LAYERS = ["core", "kernels", "cpu", "cuda", "tensor", "ops", "nn", "loss", "optim", "io", "data", "metrics", "models", "train"]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]gram/(\w+)/')


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "include" / "gram"
    violations = []
    for path in sorted(root.rglob("*")):
        layer = path.relative_to(root).parts[0]
        if not path.is_file() or layer not in LAYERS:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match[1] not in LAYERS:
                violations.append(f"{path}:{number}: {match[1]}/ has no place in the plan")
            elif match and LAYERS.index(match[1]) > LAYERS.index(layer):
                violations.append(f"{path}:{number}: {layer}/ includes {match[1]}/, which stands below it")
    print("\n".join(violations) or "no include runs upward")
    return 1 if violations else 0


sys.exit(main())
