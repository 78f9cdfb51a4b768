#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole networks on a GPU, in gram and in PyTorch, in turn: images/s of training and inference at batch 256, latency at batch 1.

    compare_cuda.py --gram build/cuda/examples/gram --out results.json --rows 'vit_s/train' --modes eager,compile --limit 540

bf16 on both sides: gram's networks are of bf16 with float master weights; PyTorch's are under autocast, channels last, with fused AdamW
and cudnn.benchmark, eager and through torch.compile. The textbook networks of bench/pytorch are the rivals, attention by PyTorch's own
kernel. Data lie on the device. Each row runs gram, a mode of PyTorch, gram, the next mode, ..; bottleneck networks in training
also with --fold-norms ("gram folded"). The file is written anew after each answer, rows that the time limit leaves no room for are listed
in it under "skipped"."""
import argparse
import json
import pathlib
import re
import statistics
import sys
import time

from side_by_side import PYTORCH, answer, tuned_environment

NETWORKS = ("resnet50", "ga_resnet50", "vit_s", "ga_vit_s")
ROWS = [f"{model}/{mode}/256" for mode in ("train", "infer") for model in NETWORKS] + [f"{model}/infer/1" for model in NETWORKS]


# The worker: PyTorch in a process of its own.


def make_step(o):
    sys.path.insert(0, str(PYTORCH))
    import networks
    import torch
    import torch.nn.functional as F
    from catalog import NETWORKS as catalog

    networks.fused_attention = True
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(1)
    network, device = catalog[o.model], torch.device("cuda")
    heads = network.heads if o.heads == 0 else o.heads
    model = network.make(heads, network.classes).to(device, memory_format=torch.channels_last).train(o.mode == "train")
    x = torch.randn(o.batch, 3, network.size, network.size, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(o.batch, device=device) % network.classes
    forward = torch.compile(model) if o.worker == "compile" else torch.compile(model, mode="max-autotune") if o.worker == "max-autotune" else model

    def infer():
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            forward(x)

    def train():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            logits = forward(x)
        logits = [z.float() for z in logits]
        loss = sum(F.cross_entropy(z, labels) for z in logits)
        if len(logits) > 1:
            mean = torch.stack(logits).mean(0).detach().log_softmax(-1)
            loss = loss - 0.8 * sum(F.kl_div(z.log_softmax(-1), mean, reduction="sum", log_target=True) for z in logits) / mean.numel()
        loss.backward()
        optimizer.step()

    if o.mode == "infer":
        return infer
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    return train


def windows(step, seconds, latency):
    """Seconds a step, of windows of about a quarter of a second; of single steps for latencies."""
    import torch

    def timed(count):
        start = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    for _ in range(5):
        step()
    torch.cuda.synchronize()
    count, all, end = 1 if latency else max(1, int(0.25 / timed(1))), [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(all) < 5:
        all.append(timed(count))
    return all


def work(o):
    import torch

    start = time.perf_counter()
    step = make_step(o)
    step()
    torch.cuda.synchronize()
    first = time.perf_counter() - start
    torch.cuda.reset_peak_memory_stats()
    all = windows(step, o.seconds, o.batch == 1)
    print(json.dumps({"program": f"pytorch {o.worker}", "seconds_median": statistics.median(all), "seconds_min": min(all), "windows": len(all),
                      "images_per_second": o.batch / statistics.median(all), "first_step_seconds": first, "peak_memory_bytes": torch.cuda.max_memory_allocated(),
                      "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name(0)}))


# The run.


def forms(model, mode):
    """How gram runs a network: as it is, and bottlenecks in training also with their wide norms folded."""
    return ("gram", "gram folded") if "resnet50" in model and mode == "train" else ("gram",)


def gram(o, form, model, mode, batch):
    command = [o.gram, "bench", "--device", "cuda", "--precision", "bf16", "--model", model, "--mode", mode, "--batch", batch, "--seconds", o.seconds, "--json"]
    command += ["--heads", o.heads] if o.heads and model.startswith("ga_") else []
    command += ["--fold-norms"] if form == "gram folded" else []
    return {"program": form, **answer(command + (["--latency"] if batch == 1 else []), tuned_environment())}


def rival(o, worker, model, mode, batch):
    return answer([o.python, __file__, "--worker", worker, "--model", model, "--mode", mode, "--batch", batch, "--seconds", o.seconds, "--heads", o.heads], tuned_environment())


def run(o):
    results, start = {"rows": [], "skipped": []}, time.monotonic()

    def attempt(row, name, f, *arguments):
        begin = time.monotonic()
        try:
            row["runs"].append(f(o, *arguments))
        except Exception as error:  # one failure must not lose the other rows
            row["runs"].append({"program": name, "error": str(error)[-1000:]})
        r = row["runs"][-1]
        print(f"{row['row']:24} {name:16} " + (f"{r['images_per_second']:10.1f} images/s  {1e3 * r['seconds_median']:8.3f} ms" if "error" not in r else "FAILED: " + r["error"].splitlines()[-1][:200]), flush=True)
        pathlib.Path(o.out).write_text(json.dumps(results, indent=1))
        return time.monotonic() - begin

    def attempt_gram(row, model, mode, batch):
        for form in forms(model, mode) if o.gram else ():
            attempt(row, form, gram, form, model, mode, batch)

    longest = 0
    for row_name in [r for r in o.all_rows if re.search(o.rows, r)]:
        model, mode, batch = row_name.split("/")
        if time.monotonic() - start + longest > o.limit:
            results["skipped"].append(row_name)
            print(f"{row_name:24} skipped: the time limit of {o.limit} s leaves no room for it", flush=True)
            continue
        begin, row = time.monotonic(), {"row": row_name, "runs": []}
        results["rows"].append(row)
        attempt_gram(row, model, mode, int(batch))
        for worker in filter(None, o.modes.split(",")):
            attempt(row, f"pytorch {worker}", rival, worker, model, mode, int(batch))
            attempt_gram(row, model, mode, int(batch))
        rates = {}
        for r in row["runs"]:
            if "error" not in r:
                rates.setdefault(r["program"], []).append(r["images_per_second"])
        ours = [program for program in rates if program.startswith("gram")]
        row["ratios"] = {f"{a} / {b}": statistics.median(rates[a]) / statistics.median(rates[b]) for a in ours for b in rates if b not in ours}
        for pair, ratio in row["ratios"].items():
            print(f"{row_name:24} {pair}: {ratio:.2f}", flush=True)
        longest = max(longest, time.monotonic() - begin)
    pathlib.Path(o.out).write_text(json.dumps(results, indent=1))
    return any("error" in r for row in results["rows"] for r in row["runs"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gram", default="", help="the gram program; without it PyTorch alone is timed")
    parser.add_argument("--python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--rows", default="", help="regular expression: MODEL/MODE/BATCH")
    parser.add_argument("--modes", default="eager,compile", help="of PyTorch: eager, compile, max-autotune; may be empty")
    parser.add_argument("--heads", type=int, default=0, help="Gramian heads; 0: the network's own number")
    parser.add_argument("--seconds", type=float, default=3, help="to measure for")
    parser.add_argument("--limit", type=float, default=540, help="seconds for all")
    parser.add_argument("--out", default="compare_cuda.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args()
    o.all_rows = ROWS
    if o.worker:
        return work(o)
    sys.exit(run(o))


if __name__ == "__main__":
    main()
