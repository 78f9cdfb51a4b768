#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole networks on a GPU, in gram and in PyTorch, side by side: images/s of training and inference at batch 256, latency at batch 1.

    compare_cuda.py --gram build/cuda/examples/gram --out results.json --rows 'vit_s/train' --modes eager,compile --limit 540

gram's networks are of bf16, with float master weights. The rivals are the textbook networks of bench/pytorch, channels last, with PyTorch's
own kernel for attention, cudnn.benchmark and fused AdamW. Data lie on the device. A mode of PyTorch is made of words between plus signs:
    eager, compile, reduce-overhead (compiled and replayed as CUDA graphs) or max-autotune
    bf16      weights and images of bf16; without it float weights under autocast to bf16
    freezing  the compiler folds weights and norms of a network that only infers
Each row runs gram, the modes one after the other, and gram again; bottleneck networks in training also with --fold-norms ("gram folded").
The ratio that counts is that to the best of the modes. What fails is noted and the next thing is run; the result is 1 at the end. The file
is written anew after each answer; what the time limit leaves no room for is listed in it under "skipped"."""
import argparse
import concurrent.futures
import json
import pathlib
import re
import statistics
import sys
import time

from side_by_side import PYTORCH, answer, table, tuned_environment

# The most important first: time may not suffice for all.
ROWS = ["vit_s/train/256", "ga_resnet50/train/256", "ga_vit_s/train/256", "resnet50/train/256", "ga_resnet50/infer/1", "vit_s/infer/256", "resnet50/infer/256",
        "vit_s/infer/1", "ga_vit_s/infer/256", "ga_resnet50/infer/256", "ga_vit_s/infer/1", "resnet50/infer/1"]
COMPILED = ("compile", "reduce-overhead", "max-autotune")
WORDS = {"eager", "bf16", "freezing", *COMPILED}


def modes(o, row):
    """Of PyTorch, the likely best first."""
    if o.modes is not None:
        return [m for m in o.modes.split(",") if m]
    if "/train/" in row:
        return ["compile", "eager"]
    how = "reduce-overhead" if row.endswith("/1") else "compile"
    return [f"bf16+{how}+freezing", f"bf16+{how}", how]


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
    network, device, words = catalog[o.model], torch.device(o.device), set(o.worker.split("+"))
    heads = network.heads if o.heads == 0 else o.heads
    model = network.make(heads, network.classes).to(device, memory_format=torch.channels_last).train(o.mode == "train")
    x = torch.randn(o.batch, 3, network.size, network.size, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(o.batch, device=device) % network.classes
    if "bf16" in words:
        model, x = model.bfloat16(), x.bfloat16()
    if "freezing" in words:
        import torch._inductor.config

        torch._inductor.config.freezing = True
    how = words.intersection(COMPILED)
    forward = torch.compile(model, mode="default" if how == {"compile"} else how.pop()) if how else model
    autocast = torch.autocast(o.device, torch.bfloat16, enabled="bf16" not in words)

    def infer():
        with torch.inference_mode(), autocast:
            forward(x)

    def train():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
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


def windows(step, synchronize, seconds, latency):
    """Seconds a step, of windows of about a quarter of a second; of single steps for latencies."""

    def timed(count):
        start = time.perf_counter()
        for _ in range(count):
            step()
        synchronize()
        return (time.perf_counter() - start) / count

    for _ in range(5):
        step()
    synchronize()
    count, all, end = 1 if latency else max(1, int(0.25 / timed(1))), [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(all) < 5:
        all.append(timed(count))
    return all


def work(o):
    import torch

    gpu, start = torch.cuda.is_available(), time.perf_counter()
    synchronize = torch.cuda.synchronize if gpu else lambda: None
    step = make_step(o)
    step()
    synchronize()
    first = time.perf_counter() - start
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    all = windows(step, synchronize, o.seconds, o.batch == 1) if o.seconds else [first]
    print(json.dumps({"program": f"pytorch {o.worker}", "seconds_median": statistics.median(all), "seconds_min": min(all), "windows": len(all),
                      "images_per_second": o.batch / statistics.median(all), "first_step_seconds": first, "peak_memory_bytes": torch.cuda.max_memory_allocated() if gpu else 0,
                      "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name(0) if gpu else "cpu"}))


# The run.


def forms(row):
    """How gram runs a network: as it is, and bottlenecks in training also with their wide norms folded."""
    return ["gram", "gram folded"] if "resnet50/train/" in row else ["gram"]


def ask(o, row, program, seconds, timeout):
    """What a form of gram or a mode of PyTorch answers."""
    model, mode, batch = row.split("/")
    options = ["--model", model, "--mode", mode, "--batch", batch, "--seconds", seconds]
    if not program.startswith("gram"):
        return answer([o.python, __file__, "--worker", program, "--device", o.device, "--heads", o.heads, *options], tuned_environment(), timeout)
    options += ["--heads", o.heads] if o.heads and model.startswith("ga_") else []
    options += ["--fold-norms"] if program == "gram folded" else []
    options += ["--latency"] if batch == "1" else []
    return answer([o.gram, "bench", "--device", o.device, "--precision", "bf16", "--json", *options], tuned_environment(), timeout)


def warm_up(o):
    """Has PyTorch compile the networks ahead of being timed, some at once: the compiler keeps its results on disk."""
    end = time.monotonic() + o.limit

    def compile(job):
        begin = time.monotonic()
        try:
            ask(o, *job, seconds=0, timeout=max(1, end - begin))
            print(f"{job[0]:24} {job[1]:28} compiled in {time.monotonic() - begin:.0f} s", flush=True)
        except Exception as error:
            print(f"{job[0]:24} {job[1]:28} FAILED: {str(error).splitlines()[-1][:200]}", flush=True)

    jobs = [(row, mode) for row in o.rows for mode in modes(o, row) if set(mode.split("+")).intersection(COMPILED)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(compile, jobs))


def verdict(row):
    """Lines of the table: for each form of gram its ratio to the best mode of PyTorch. Puts all ratios into the row."""
    rates, missing = {}, list(dict.fromkeys(r["program"] for r in row["runs"] if "images_per_second" not in r))
    for r in row["runs"]:
        if "images_per_second" in r:
            rates.setdefault(r["program"], []).append(r["images_per_second"])
    rates = {program: statistics.median(all) for program, all in rates.items()}
    ours, rivals = [p for p in rates if p.startswith("gram")], [p for p in rates if not p.startswith("gram")]
    row["ratios"] = {f"{a} / pytorch {b}": rates[a] / rates[b] for a in ours for b in rivals}
    best = max(rivals, key=rates.get, default=None)
    row["best_rival"], row["not_measured"] = best, missing
    for a in ours or ["gram"]:
        yield [row["row"], a, f"{rates[a]:.1f}" if a in rates else "-", f"{rates[best]:.1f}" if best else "-", best or "-",
               f"{rates[a] / rates[best]:.2f}" if best and a in rates else "-",
               ", ".join(f"{b} {rates[a] / rates[b]:.2f}" for b in rivals if b != best and a in rates) or "-", ", ".join(missing) or "-"]


def run(o):
    results, lines, failed, longest, start = {"rows": [], "skipped": []}, [], False, {}, time.monotonic()

    def left():
        return o.limit - (time.monotonic() - start)

    def save():
        pathlib.Path(o.out).write_text(json.dumps(results, indent=1))

    def attempt(row, program):
        """Runs a program unless it is likely to outlast the time that is left. What goes wrong must not lose the rest."""
        begin = time.monotonic()
        if left() < longest.get(program, 15):
            answered = {"skipped": "no time left"}
        else:
            try:
                answered = ask(o, row["row"], program, o.seconds, left())
            except Exception as error:
                answered = {"error": str(error)[-2000:]}
            longest[program] = max(longest.get(program, 0), time.monotonic() - begin)
        row["runs"].append({**answered, "program": program, "wall_seconds": time.monotonic() - begin})
        said = (f"{answered['images_per_second']:10.1f} images/s  {1e3 * answered['seconds_median']:8.3f} ms" if "images_per_second" in answered
                else f"FAILED: {answered['error'].splitlines()[-1][:200]}" if "error" in answered else "skipped: no time left")
        said += f"; {len(answered['stderr'])} lines on standard error" if "stderr" in answered else ""
        print(f"{row['row']:24} {program:28} {said}", flush=True)
        save()
        return "error" in answered

    for name in o.rows:
        if left() < 30:
            results["skipped"].append(name)
            continue
        row = {"row": name, "runs": []}
        results["rows"].append(row)
        ours = forms(name) if o.gram else []
        for program in ours + modes(o, name) + ours:
            if not any(r["program"] == program and "error" in r for r in row["runs"]):  # it would again
                failed |= attempt(row, program)
        lines += verdict(row)
    save()
    print(table(["row", "program", "images/s", "best of PyTorch", "its mode", "ratio to it", "to other modes", "not measured"], lines), end="")
    if results["skipped"]:
        print(f"no time was left for: --rows '^({'|'.join(results['skipped'])})$'")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gram", default="", help="the gram program; without it PyTorch alone is timed")
    parser.add_argument("--python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--rows", default="", help="regular expression: MODEL/MODE/BATCH")
    parser.add_argument("--modes", help="of PyTorch, between commas; may be empty (default: those likely to be best, by row)")
    parser.add_argument("--heads", type=int, default=0, help="Gramian heads; 0: the network's own number")
    parser.add_argument("--seconds", type=float, default=3, help="to measure for")
    parser.add_argument("--limit", type=float, default=540, help="seconds for all")
    parser.add_argument("--out", default="compare_cuda.json")
    parser.add_argument("--device", default="cuda", help="cpu tries this program out")
    parser.add_argument("--warm-up", action="store_true", help="compile what PyTorch is to run, and time nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args()
    unknown = {word for mode in (o.modes or "").split(",") if mode for word in mode.split("+")} - WORDS
    if unknown:
        parser.error(f"--modes: {', '.join(sorted(unknown))}: the words are {', '.join(sorted(WORDS))}")
    if o.worker:
        return work(o)
    o.rows = [row for row in ROWS if re.search(o.rows, row)]
    if not o.rows:
        parser.error(f"--rows: none of {', '.join(ROWS)}")
    if o.warm_up:
        return warm_up(o)
    sys.exit(run(o))


if __name__ == "__main__":
    main()
