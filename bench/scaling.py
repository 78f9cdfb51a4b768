#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole networks on one thread and on two, in turn: images/s, how many times as fast two threads are, and memory.

    scaling.py --gram build/release/examples/gram --before old/gram --rows 'ga_resnet|vit_s/train'

With --before another build is measured in the same run, between the runs of the first."""
import argparse
import re
import sys

from side_by_side import answer, machine, median, publish, table, tuned_environment

NETWORKS = {"resnet50": 8, "resnet50d": 8, "ga_resnet50": 8, "vit_s": 8, "ga_vit_s": 8, "ga_resnet29": 128, "ga_resnet110": 128, "ga_convnext_tiny_768": 8,
            "ga_cswin_tiny_reconstructed": 8, "groupmixformer_tiny": 8, "refiner_vit_s": 8}
ROWS = [(model, mode, batch) for model, batch in NETWORKS.items() for mode in ("infer", "train")]


def run(program, row, threads, seconds):
    model, mode, batch = row
    return answer([program, "bench", "--model", model, "--mode", mode, "--batch", batch, "--threads", threads, "--seconds", seconds, "--json"], tuned_environment())


def measure(o, row):
    """A line of the table: for each program images/s on one thread and on all, their ratio, and the most memory that was resident."""
    programs = [p for p in (o.before, o.gram) if p]
    runs = {(p, t): [] for p in programs for t in (1, o.threads)}
    for _ in range(o.pairs):
        for (program, threads), results in runs.items():
            results.append(run(program, row, threads, o.seconds))
    line = ["/".join(map(str, row))]
    for program in programs:
        one, all = runs[program, 1], runs[program, o.threads]
        ratios = [a["seconds_median"] / b["seconds_median"] for a, b in zip(one, all)]
        best = min(r["seconds_min"] for r in one) / min(r["seconds_min"] for r in all)
        rate = lambda results: f"{row[2] / median(r['seconds_median'] for r in results):.1f} ({row[2] / min(r['seconds_min'] for r in results):.1f})"
        line += [rate(one), rate(all), f"{median(ratios):.2f} ({best:.2f})", f"{median(r['maximum_resident_bytes'] for r in all) * 1e-6:.0f}"]
    return line


NOTES = """
Images/s: median over the pairs of each process's median step, and the best step in brackets; times as fast: median of the pairs, and that of the best steps.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gram", default="build/release/examples/gram", help="the gram program")
    parser.add_argument("--before", help="another build of it")
    parser.add_argument("--rows", default="", help="regular expression; --list shows all names")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement, at least three steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", help="write the table to this file after every row")
    o = parser.parse_args()
    rows = [row for row in ROWS if re.search(o.rows, "/".join(map(str, row)))]
    if o.list:
        return print(*("/".join(map(str, row)) for row in rows), sep="\n")
    if not rows:
        sys.exit(f"no row matches {o.rows!r}; --list shows all")
    names = ["before, ", "after, "] if o.before else [""]
    columns = ["network / mode / batch"] + [n + c for n in names for c in ("1 thread", f"{o.threads} threads", "times as fast", "resident MB")]
    lines = []
    for row in rows:
        lines.append(measure(o, row))
        print(*lines[-1], sep=" | ", flush=True)
        publish(machine(o.threads, "float32") + "\n" + table(columns, lines) + NOTES, o.output)


if __name__ == "__main__":
    main()
