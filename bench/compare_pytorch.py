#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole networks in gram and in PyTorch, in turn, pair by pair in one run: images/s, share of the multiply-add peak, peak memory.

    compare_pytorch.py --gram build/release/examples/gram --rows 'vit_s|resnet50/train' --peak build/release/bench/bench_peak

Inference, and training steps: forward, loss, backward, AdamW. The loss is the Gramian loss (lambda -0.8) for several heads and
cross-entropy for one. PyTorch is tuned: OMP_WAIT_POLICY=passive, OPENBLAS_* unset, inference_mode, fused AdamW, and whichever of both memory
layouts (and, for transformers, of both forms of attention) a short trial finds faster. --as-found adds a column without all this."""
import argparse
import json
import pathlib
import re
import resource
import sys
import time
from dataclasses import dataclass

from side_by_side import PYTORCH, answer, found_environment, machine, median, peak_of, publish, table, tuned_environment


@dataclass(frozen=True)
class Row:
    model: str
    mode: str
    batch: int
    trial_batch: int  # of the search for PyTorch's best variant

    def __str__(self):
        return f"{self.model}/{self.mode}/{self.batch}"


def all_rows():
    rows = []
    for model in ("resnet50", "resnet50d", "ga_resnet50", "vit_s", "ga_vit_s"):
        rows += [Row(model, "infer", batch, 8) for batch in (1, 8, 32)] + [Row(model, "train", batch, 8) for batch in (8, 32)]
    for model in ("ga_resnet29", "ga_resnet110"):
        rows += [Row(model, mode, 128, 128) for mode in ("infer", "train")]
    for model in ("ga_convnext_tiny_768", "ga_cswin_tiny_reconstructed", "groupmixformer_tiny", "refiner_vit_s"):
        rows += [Row(model, mode, 8, 8) for mode in ("infer", "train")]
    return rows


def variants(model):
    """Ways to run a network in PyTorch; the first is the default."""
    attention = ("", "+fused_attention") if "vit_s" in model and "refiner" not in model or "cswin" in model else ("",)
    return [layout + form for form in attention for layout in ("contiguous", "channels_last")]


# The worker: PyTorch in a process of its own.


def make_step(o, variant):
    import networks
    import torch
    import torch.nn.functional as F
    from catalog import NETWORKS

    network = NETWORKS[o.model]
    tuned = "as_found" not in variant
    networks.fused_attention = "fused_attention" in variant
    layout = torch.channels_last if "channels_last" in variant else torch.contiguous_format
    torch.manual_seed(1)
    model = network.make(network.heads, network.classes).to(memory_format=layout).train(o.mode == "train")
    x = torch.randn(o.batch, 3, network.size, network.size).to(memory_format=layout)
    labels = torch.arange(o.batch) % network.classes
    forward = torch.compile(model) if "compile" in variant else model
    rounded = torch.autocast("cpu", torch.bfloat16, enabled=o.rival_precision == "bf16")

    def infer():
        with torch.inference_mode() if tuned else torch.no_grad(), rounded:
            forward(x)

    def loss():
        with rounded:
            logits = forward(x)
        logits = [z.float() for z in logits]
        task = sum(F.cross_entropy(z, labels) for z in logits)
        if len(logits) == 1:
            return task
        mean = torch.stack(logits).mean(0).detach().log_softmax(-1)
        return task - 0.8 * sum(F.kl_div(z.log_softmax(-1), mean, reduction="sum", log_target=True) for z in logits) / mean.numel()

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    if o.mode == "infer":
        return infer, network
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True if tuned else None)
    return train, network


def times(step, seconds, least):
    """Seconds of each step, after two that warm up."""
    step(), step()
    all = []
    while sum(all) < seconds or len(all) < least:
        start = time.perf_counter()
        step()
        all.append(time.perf_counter() - start)
    return all


def resident():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def work(o):
    """Prints the fastest of the variants, how long its steps took, and how much memory the process has grown by for it."""
    sys.path.insert(0, str(PYTORCH))
    import torch

    torch.set_num_threads(o.threads)
    before, trials = resident(), {}
    for variant in o.worker.split(","):
        step, network = make_step(o, variant)
        trials[variant] = times(step, o.seconds, 3 if "," not in o.worker else 2)
    best = min(trials, key=lambda v: min(trials[v]))
    print(json.dumps({"variant": best, "seconds_median": median(trials[best]), "seconds_min": min(trials[best]), "memory": resident() - before,
                      "heads": network.heads, "classes": network.classes, "torch": torch.__version__}))


# The run.


def worker(o, row, variant, environment, batch=0, seconds=0.0):
    return answer([sys.executable, __file__, "--worker", variant, "--model", row.model, "--mode", row.mode, "--batch", batch or row.batch,
                   "--seconds", seconds or o.seconds, "--threads", o.threads, "--rival-precision", o.rival_precision], environment)


def gram(o, row, network):
    return answer([o.gram, "bench", "--model", row.model, "--mode", row.mode, "--batch", row.batch, "--heads", network["heads"], "--classes", network["classes"],
                   "--threads", o.threads, "--seconds", o.seconds, "--json", *(["--precision", o.precision] if o.precision != "float32" else [])], tuned_environment())


def rate(row, runs):
    return f"{row.batch / median(r['seconds_median'] for r in runs):.1f} ({row.batch / min(r['seconds_min'] for r in runs):.1f})"


def ratio(ours, theirs):
    return f"{median(b['seconds_median'] / a['seconds_median'] for a, b in zip(ours, theirs)):.2f}"


def measure(o, row, best, peak):
    """A line of the table. best: the variants already chosen, by network and mode."""
    key = (row.model, row.mode)
    if key not in best:
        best[key] = worker(o, row, ",".join(variants(row.model)), tuned_environment(), row.trial_batch, 1.0)
    network = best[key]
    cost = answer([o.gram, "info", "--model", row.model, "--heads", network["heads"], "--classes", network["classes"], "--json"], tuned_environment())

    ours, rivals = [], {"tuned": []} | ({"compiled": []} if o.compile else {}) | ({"found": []} if o.as_found else {})
    ways = {"tuned": (network["variant"], tuned_environment()), "compiled": (network["variant"] + "+compile", tuned_environment()),
            "found": ("contiguous+as_found", found_environment())}
    for _ in range(o.pairs):
        ours.append(gram(o, row, network))
        for name, runs in rivals.items():
            runs.append(worker(o, row, *ways[name]))

    def share(macs, runs):
        limit = peak or ours[0].get("fma_peak", 0)
        passes = 3 if row.mode == "train" else 1
        return f"{100 * 2 * macs * row.batch * passes / median(r['seconds_median'] for r in runs) / limit:.0f} %" if limit else "-"

    megabytes = lambda key, runs: f"{median(r.get(key, 0) for r in runs) * 1e-6:.0f}"
    line = [str(row), rate(row, ours)]
    for runs in rivals.values():
        line += [rate(row, runs), ratio(ours, runs)]
    return line + [share(ours[0]["executed_multiply_accumulates"], ours), share(cost["macs"] + cost["matmul_macs"], rivals["tuned"]), megabytes("peak_memory_bytes", ours),
                   megabytes("maximum_resident_bytes", ours), megabytes("memory", rivals["tuned"]), network["variant"]]


NOTES = """
Images/s: median over the pairs of each process's median step, and the best step in brackets; ratio: gram over PyTorch, median of the pairs.
Peak: share of the multiply-add peak by what is executed: 2 x multiply-accumulates of the forward pass, 3 x that for a training step;
gram's are those of the forms it takes (3x3 convolutions in Winograd's have fewer, whose transforms are not counted), and it computes the heads of a network together,
with fewer of them than the textbook form, which is counted for PyTorch. Memory, MB: tensors and scratch of gram, the most its whole process was resident, and how much PyTorch's process grew from before the network was made.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gram", default="build/release/examples/gram", help="the gram program")
    parser.add_argument("--peak", help="the program of bench/peak.cpp, run first")
    parser.add_argument("--rows", default="", help="regular expression; --list shows all names")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement, at least three steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="of gram's products")
    parser.add_argument("--rival-precision", choices=["float32", "bf16"], default="float32", help="of PyTorch: bf16 is its autocast")
    parser.add_argument("--as-found", action="store_true", help="a column for PyTorch as it comes")
    parser.add_argument("--compile", action="store_true", help="a column for torch.compile, which needs a C++ compiler and minutes")
    parser.add_argument("--output", help="write the table to this file after every row")
    for name in ("--worker", "--model", "--mode"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.worker:
        return work(o)
    rows = [row for row in all_rows() if re.search(o.rows, str(row))]
    if o.list:
        return print(*rows, sep="\n")
    if not rows:
        sys.exit(f"no row matches {o.rows!r}; --list shows all")

    peaks, limits = peak_of(o.peak)
    columns = ["network / mode / batch", "gram", "PyTorch, tuned", "ratio", *(["compiled", "ratio"] if o.compile else []),
               *(["as found", "ratio"] if o.as_found else []), "gram of peak", "PyTorch of peak", "gram MB", "resident MB", "PyTorch MB", "tuned variant"]
    best, lines, failures = {}, [], []
    for row in rows:
        try:
            lines.append(measure(o, row, best, peaks.get(o.threads, {}).get("fma")))
        except RuntimeError as error:
            failures.append(f"{row}: {error}")
            print(failures[-1], file=sys.stderr)
            continue
        print(*lines[-1], sep=" | ", flush=True)
        versions = f"PyTorch {next(iter(best.values()))['torch']}; gram {o.precision}, PyTorch {o.rival_precision}"
        publish(machine(o.threads, versions) + limits + "\n" + table(columns, lines) + NOTES, o.output)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
