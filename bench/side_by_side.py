# SPDX-License-Identifier: MIT
"""What the comparisons with PyTorch share: environments, processes that answer in JSON, the line that names machine and command, tables.

Nothing here imports PyTorch: a process starts with the peak memory of the one that started it, so that one stays small."""
import datetime
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTORCH = ROOT / "bench" / "pytorch"
median = statistics.median


def tuned_environment():
    """PyTorch's best: waiting threads sleep instead of spinning, and its libraries choose their kernels themselves."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}, "OMP_WAIT_POLICY": "passive"}


def found_environment():
    return {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}


def answer(command, environment, timeout=None):
    """The JSON that a command prints; under "stderr" what it said on standard error, each line once."""
    result = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, timeout=timeout)
    if result.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}\n{result.stderr.strip()[-2000:]}")
    found, said = json.loads(result.stdout), dict.fromkeys(line.strip() for line in result.stderr.splitlines())
    return {**found, **({"stderr": [line for line in said if line]} if any(said) else {})}


def machine(threads, versions):
    """Markdown that says what was measured where, when and how."""
    cpu = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    revision = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    command = shlex.join(["python3", *sys.argv])
    return f"{cpu}, {os.cpu_count()} processors, {threads} threads; {now}; gram {revision or '(unversioned)'}, {versions}\n\n`{command}`\n"


def peak_of(program):
    """What bench/peak.cpp measures, for each number of threads per second: multiply-add operations and bytes read; and lines about it."""
    if not program:
        return {}, ""
    peaks = answer([program, "--json"], tuned_environment())["peaks"]
    lines = [f"{p['threads']} thread{'s' * (p['threads'] > 1)}: multiply-adds {p['fma_gflops']:.0f} GFLOP/s, reading {p['read_gb_per_s']:.1f} GB/s, "
             f"copying {p['copy_gb_per_s']:.1f} GB/s (in huge pages {p['huge_read_gb_per_s']:.1f} and {p['huge_copy_gb_per_s']:.1f})" for p in peaks]
    return {p["threads"]: {"fma": p["fma_gflops"] * 1e9, "read": max(p["read_gb_per_s"], p["huge_read_gb_per_s"]) * 1e9} for p in peaks}, "Measured limits: " + "; ".join(lines) + ".\n"


def table(columns, rows):
    """Markdown; rows are lists of text."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def publish(text, file):
    if file:
        pathlib.Path(file).write_text(text)
