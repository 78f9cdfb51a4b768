#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Single operations in gram and in PyTorch, in turn, in one run: milliseconds, ratio, and how near gram comes to what the machine allows.

    compare_operations.py --gram build/release/bench/bench_operations --peak build/release/bench/bench_peak --rows conv2d

bench/operations.cpp says what the names mean. Both programs stay up and are asked about one operation after the other. PyTorch is tuned as
in compare_pytorch.py; where it has several ways (memory layouts, forms of attention, of optimiser steps) the fastest counts, and is named."""
import argparse
import json
import re
import subprocess
import sys
import time

from side_by_side import PYTORCH, machine, median, peak_of, publish, table, tuned_environment

PRODUCTS = ["1576 1152 384", "1576 384 384", "1576 1536 384", "1576 384 1536", "197 1152 384", "8 1000 2048", "1 1000 2048", "40 196 1024"]
CONVOLUTIONS = ["8 56 64 64 3 1 1", "8 28 128 128 3 1 1", "8 14 256 256 3 1 1", "8 7 512 512 3 1 1",  # 3x3
                "8 56 64 256 1 1 1", "8 14 1024 256 1 1 1",  # 1x1
                "8 28 192 192 7 1 192",  # depthwise
                "8 56 128 128 3 2 1", "8 224 3 64 7 2 1", "8 224 3 32 3 2 1",  # strided, stems
                "8 28 128 128 3 1 32"]  # grouped
OTHERS = {"batch_norm_relu": ["8 56 64", "8 28 512", "8 14 1024"], "layer_norm": ["1576 384", "25088 96"], "attention": ["8 197 6 64"], "gelu": ["1576 1536"]}


def all_rows():
    rows = [f"{p} linear {sizes}" for sizes in PRODUCTS for p in ("forward", "input", "weight")]
    rows += [f"{p} conv2d {sizes}" for sizes in CONVOLUTIONS for p in ("forward", "input", "weight")]
    rows += [f"{p} {kind} {sizes}" for kind, all in OTHERS.items() for sizes in all for p in ("forward", "backward")]
    return rows + [f"{p} gramian_heads 8 1024 14 5" for p in ("forward", "step")] + ["step adamw 25 1000000", "step sgd 25 1000000"]


def cost(name):
    """Multiply-accumulates, and floats that have to be read or written once; None where forms differ."""
    p, kind, *sizes = name.split()
    s = list(map(int, sizes))
    if kind == "linear":
        rows, out, i = s
        return rows * out * i, rows * i + out * i + rows * out
    if kind == "conv2d":
        n, size, i, out, k, stride, groups = s
        y = n * (-(-size // stride)) ** 2 * out
        return y * k * k * i // groups, n * size * size * i + out * k * k * i // groups + y
    if kind == "attention":
        n, tokens, heads, width = s
        return n * heads * tokens * tokens * width * (2 if p == "forward" else 5), n * tokens * heads * width * (4 if p == "forward" else 8)
    if kind in ("batch_norm_relu", "layer_norm", "gelu"):
        elements = {"batch_norm_relu": lambda n, size, c: n * size * size * c}.get(kind, lambda rows, c: rows * c)(*s)
        return 0, elements * ({"batch_norm_relu": 4}.get(kind, 3) if p == "backward" else 2)
    if kind in ("adamw", "sgd"):
        return 0, s[0] * s[1] * (7 if kind == "adamw" else 5)
    return None


# The worker: PyTorch in a process of its own.


def passes(p, x, parameters, f):
    """One pass of f(x), as a function to call again and again. The graph is kept, so a backward pass does nothing but walk it."""
    import torch

    if p == "forward":

        def forward():
            with torch.inference_mode():
                f(x)

        return forward
    wanted = ([x] if p != "weight" else []) + (parameters if p != "input" else [])
    for leaf in wanted:
        leaf.requires_grad_()
    y = f(x)
    dy = torch.randn_like(y)  # in the layout of y
    return lambda: torch.autograd.grad(y, wanted, dy, retain_graph=True)


def ways(name):
    """Every way in which PyTorch can do this, by name."""
    import torch
    import torch.nn.functional as F

    p, kind, *sizes = name.split()
    s, layouts = list(map(int, sizes)), {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    if kind == "linear":
        rows, out, i = s
        w, b = 0.05 * torch.randn(out, i), torch.randn(out)
        return {"": passes(p, torch.randn(rows, i), [w, b], lambda x: F.linear(x, w, b))}
    if kind == "conv2d":
        n, size, i, out, k, stride, groups = s

        def convolution(layout):
            w = (0.05 * torch.randn(out, i // groups, k, k)).to(memory_format=layout)
            return passes(p, torch.randn(n, i, size, size).to(memory_format=layout), [w], lambda x: F.conv2d(x, w, None, stride, k // 2, 1, groups))

        return {name: convolution(layout) for name, layout in layouts.items()}
    if kind == "batch_norm_relu":
        n, size, c = s

        def norm(layout):
            mean, variance, w, b = torch.zeros(c), torch.ones(c), torch.ones(c), torch.zeros(c)
            f = lambda x: F.relu(F.batch_norm(x, mean, variance, w, b, training=True), inplace=True)
            return passes(p, torch.randn(n, c, size, size).to(memory_format=layout), [w, b], f)

        return {name: norm(layout) for name, layout in layouts.items()}
    if kind == "layer_norm":
        w, b = torch.ones(s[1]), torch.zeros(s[1])
        return {"": passes(p, torch.randn(s), [w, b], lambda x: F.layer_norm(x, s[1:], w, b, 1e-6))}
    if kind == "attention":
        n, tokens, heads, width = s

        def attention(form):
            def f(x):
                q, k, v = x.reshape(n, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
                return form(q, k, v).transpose(1, 2).reshape(n, tokens, heads * width)

            return passes(p, torch.randn(n, tokens, 3 * heads * width), [], f)

        textbook = lambda q, k, v: (q * width**-0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        return {"fused": attention(F.scaled_dot_product_attention), "textbook": attention(textbook)}
    if kind == "gelu":
        return {"": passes(p, torch.randn(s), [], F.gelu)}
    if kind == "gramian_heads":
        return {name: heads_work(p, s, layout) for name, layout in layouts.items()}
    return optimizers(kind, *s)


def heads_work(p, sizes, layout):
    import torch
    from networks import Heads

    n, c, size, count = sizes
    heads = Heads()
    heads.add_heads(count, 1000, c, g=128, cg=8, eg=16, e=c // 4, ratio=4, groups=4)
    heads.to(memory_format=layout).train(p == "step")
    x, dy = torch.randn(n, c, size, size).to(memory_format=layout), torch.randn(n, 1000)
    run = lambda: [heads.head(i, x) for i in range(count)]
    if p == "forward":

        def forward():
            with torch.inference_mode():
                run()

        return forward
    leaves = [x.requires_grad_(), *heads.parameters()]
    return lambda: torch.autograd.grad(run(), leaves, [dy] * count)


def optimizers(kind, tensors, elements):
    import torch

    def make(form):
        parameters = [torch.randn(1, elements, requires_grad=True) for _ in range(tensors)]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        if kind == "adamw":
            return torch.optim.AdamW(parameters, lr=1e-5, **{form: True}).step
        return torch.optim.SGD(parameters, lr=1e-5, momentum=0.9, nesterov=True, **{form: True}).step

    return {form: make(form) for form in ("fused", "foreach")}


def times(work, seconds):
    """Seconds of every call, after two that warm up."""
    work(), work()
    all = []
    while sum(all) < seconds or len(all) < 5:
        start = time.perf_counter()
        work()
        all.append(time.perf_counter() - start)
    return all


def work(o):
    """Answers one line of JSON for each name on standard input."""
    sys.path.insert(0, str(PYTORCH))
    import torch

    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    best = {}
    for line in sys.stdin:
        name = line.strip()
        every = ways(name)
        if name not in best:
            best[name] = min(every, key=lambda way: min(times(every[way], o.seconds / 2))) if len(every) > 1 else next(iter(every))
        all = times(every[best[name]], o.seconds)
        print(json.dumps({"way": best[name], "median_ms": 1e3 * median(all), "best_ms": 1e3 * min(all), "torch": torch.__version__}), flush=True)


# The run.


def start(command):
    return subprocess.Popen([str(c) for c in command], env=tuned_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def ask(process, name):
    process.stdin.write(name + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"no answer to {name!r} from {process.args[0]}")
    return json.loads(line)


def measure(name, gram, pytorch, pairs):
    ours, theirs = zip(*((ask(gram, name), ask(pytorch, name)) for _ in range(pairs)))
    both = [(median(r["median_ms"] for r in runs), min(r["best_ms"] for r in runs)) for runs in (ours, theirs)]
    return both, median(b["median_ms"] / a["median_ms"] for a, b in zip(ours, theirs)), theirs[0]


NOTES = """
ms: median over the pairs of the medians, and the best in brackets; ratio: PyTorch's time over gram's. Floor: the longer of multiply-adds at the
measured peak and of every array moved once at the measured reading speed; small arrays stay in caches, which are faster.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gram", default="build/release/bench/bench_operations", help="the program of bench/operations.cpp")
    parser.add_argument("--peak", help="the program of bench/peak.cpp, run first")
    parser.add_argument("--rows", default="", help="regular expression; --list shows all names")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each measurement, at least five calls")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", help="write the table to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.worker:
        return work(o)
    rows = [row for row in all_rows() if re.search(o.rows, row)]
    if o.list:
        return print(*rows, sep="\n")
    if not rows:
        sys.exit(f"no row matches {o.rows!r}; --list shows all")

    peaks, limits = peak_of(o.peak)
    limit = peaks.get(o.threads)
    columns = ["pass, operation", "gram, ms", "PyTorch, ms", "ratio", *(["floor, ms", "gram of floor"] if limit else []), "PyTorch's way"]
    gram = start([o.gram, o.seconds, o.threads])
    pytorch = start([sys.executable, __file__, "--worker", "--seconds", o.seconds, "--threads", o.threads])
    lines = []
    for name in rows:
        both, ratio, rival = measure(name, gram, pytorch, o.pairs)
        line = [name, *(f"{middle:.3f} ({best:.3f})" for middle, best in both), f"{ratio:.2f}"]
        if limit:
            needed = cost(name)
            floor = 1e3 * max(2 * needed[0] / limit["fma"], 4 * needed[1] / limit["read"]) if needed else 0
            line += [f"{floor:.3f}", f"{100 * floor / both[0][0]:.0f} %"] if needed else ["-", "-"]
        lines.append([*line, rival["way"]])
        print(*lines[-1], sep=" | ", flush=True)
        publish(machine(o.threads, f"PyTorch {rival['torch']}, float32") + limits + "\n" + table(columns, lines) + NOTES, o.output)
    for process in (gram, pytorch):
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
