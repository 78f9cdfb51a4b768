#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a Gramian network in gram and in PyTorch in turn, the same network, batch and threads, and prints the ratio:
train_speed.py --gram build/release/examples/gram --model ga_resnet29 --batch 128
The environment matters to PyTorch: OMP_WAIT_POLICY=passive, with OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset, is its best here."""
import argparse
import json
import os
import subprocess
import time

import torch
import torch.nn.functional as F
from compare import MODELS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gram", required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    o = parser.parse_args()

    torch.set_num_threads(o.threads)
    make, size, _ = MODELS[o.model]
    x = torch.randn(o.batch, 3, size, size)
    labels = torch.randint(o.classes, (o.batch,))
    rivals = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        model = make(o).to(memory_format=layout).train(o.mode == "train")
        rivals[layout] = (model, x.to(memory_format=layout), torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True))

    def step(model, images, optimizer):
        if o.mode == "infer":
            with torch.inference_mode():
                return model(images)
        logits = model(images)
        mean = torch.stack(logits).mean(0).detach().log_softmax(-1)
        loss = sum(F.cross_entropy(z, labels) - 0.8 * F.kl_div(z.log_softmax(-1), mean, log_target=True) for z in logits)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def pytorch(layout):
        step(*rivals[layout])
        best = min(_timed(lambda: step(*rivals[layout])) for _ in range(o.steps))
        return o.batch / best

    def gram():
        command = [o.gram, "bench", "--model", o.model, "--mode", o.mode, "--batch", str(o.batch), "--size", str(size), "--heads", str(o.heads),
                   "--classes", str(o.classes), "--threads", str(o.threads), "--json"]
        return o.batch / json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["seconds_min"]

    print(f"PyTorch {torch.__version__}, {o.threads} threads, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}, {o.model} {o.mode}, batch {o.batch}")
    for _ in range(o.rounds):
        ours, nchw, nhwc = gram(), pytorch(torch.contiguous_format), pytorch(torch.channels_last)
        print(f"gram {ours:7.1f} img/s   PyTorch {nchw:7.1f} (NCHW) {nhwc:7.1f} (channels last)   ratio {ours / max(nchw, nhwc):.2f}")


def _timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
