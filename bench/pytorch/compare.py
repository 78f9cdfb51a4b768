#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs one network with random weights in PyTorch (float64) and through `gram run`, and compares logits, gradients and running
statistics: compare.py --gram build/release/examples/gram --model ga_resnet29 --heads 3 --train"""
import argparse
import copy
import pathlib
import subprocess
import sys
import tempfile

import tensors
import torch
from catalog import NETWORKS


def randomise(model, generator):
    """Every path contributes: layer scales, affine parameters and running statistics are random, too."""
    for name, p in model.named_parameters():
        fan = p[0].numel() if p.dim() > 1 else 1
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float32)
        p.data = (1 + 0.2 * noise if p.dim() == 1 and name.endswith("weight") else 0.2 * noise if p.dim() == 1 else noise * fan**-0.5).double()
    for name, b in model.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.2 * torch.randn(b.shape, generator=generator))
        elif name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=generator))


def results(model, x, cot, train):
    leaf = x.clone().requires_grad_()
    logits = model(leaf)
    sum((z * c).sum() for z, c in zip(logits, cot)).backward()
    all = {f"out/logits{i}": z.detach() for i, z in enumerate(logits)} | {"grad/in/x": leaf.grad}
    all |= {f"grad/param/{name}": p.grad for name, p in model.named_parameters()}
    if train:
        all |= {f"after/{name}": b for name, b in model.state_dict().items() if "running_" in name}
    return all


def errors(expected, ours, prefix):
    """Largest error over the largest value, and the error's norm over the values' norm. A value within rounding of a ReLU's corner
    may fall on either side and moves a few gradients a lot: it shows in the first figure, hardly in the second."""
    names = [n for n in expected if n.startswith(prefix)]
    difference = torch.cat([(expected[n].double() - ours[n].double()).flatten() for n in names])
    values = torch.cat([expected[n].double().flatten() for n in names])
    return (difference.abs().max() / values.abs().max()).item(), (difference.norm() / values.norm()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gram", required=True, help="the gram program")
    parser.add_argument("--model", choices=NETWORKS, required=True)
    parser.add_argument("--heads", type=int, default=3, help="of networks with Gramian heads")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=["float32", "float64", "bf16"], default="float32", help="of gram")
    parser.add_argument("--train", action="store_true", help="batch statistics")
    o = parser.parse_args()

    network = NETWORKS[o.model]
    size, heads = network.size, o.heads if network.heads > 1 else 1
    generator = torch.Generator().manual_seed(o.seed)
    model = network.make(heads, o.classes).double().train(o.train)
    randomise(model, generator)
    weights = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for p in model.parameters():
        p.data = p.data.float().double()
    x = torch.randn((o.batch or (8 if size == 32 else 2), 3, size, size), generator=generator)
    cot = [torch.randn((len(x), o.classes), generator=generator) for _ in range(heads)]

    with tempfile.TemporaryDirectory() as folder:
        f = lambda name: str(pathlib.Path(folder, name))
        tensors.save(f("weights"), weights)
        tensors.save(f("in"), {"x": x, **{f"cot/logits{i}": c for i, c in enumerate(cot)}})
        subprocess.run([o.gram, "run", "--model", o.model, "--heads", str(heads), "--classes", str(o.classes), "--weights", f("weights"),
                        "--input", f("in"), "--output", f("out"), "--backward", "--precision", o.precision, *(["--train"] if o.train else [])], check=True)
        ours = tensors.load(f("out"))

    single = copy.deepcopy(model).float()
    expected, pytorch = results(model, x.double(), cot, o.train), results(single, x, cot, o.train)

    if missing := sorted(expected.keys() - ours.keys()):
        sys.exit(f"missing in the output of gram run: {missing[:5]} ({len(missing)} in all)")
    groups = {"logits": "out/", "input gradient": "grad/in/", "parameter gradients": "grad/param/", "running statistics": "after/"}
    failed = False
    limit = {"float32": 1e-3 if o.train else 1e-4, "float64": 1e-10, "bf16": 1}[o.precision]
    for label, prefix in groups.items():
        if any(n.startswith(prefix) for n in expected):
            ours_error, theirs = errors(expected, ours, prefix), errors(expected, pytorch, prefix)
            failed |= not ours_error[1] < (limit if o.precision == "float64" else max(limit, 3 * theirs[1]))
            print(f"{label:20} gram: max {ours_error[0]:.1e} norm {ours_error[1]:.1e}   PyTorch float32: max {theirs[0]:.1e} norm {theirs[1]:.1e}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
