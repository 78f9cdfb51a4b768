# SPDX-License-Identifier: MIT
"""Prints the values that sgd_test, adamw_test and schedule_test hold: python3 tests/optim/reference.py (PyTorch 2.15)

The network is r = W x + b - y, W (3, 4), b (3), with loss r^2 / 2; x and y are sines of the step. b has no gradient in the
first three of the 20 steps.
"""
import math

import torch


def run(make):
    t = lambda n, f: torch.tensor([f(i) for i in range(n)], dtype=torch.float64)
    W, b = t(12, lambda i: math.sin(i + 1)).view(3, 4), t(3, lambda i: 0.1 * i)
    optimizer = make([W, b])
    for step in range(20):
        x, y = t(4, lambda i: math.sin(3 * step + i)), t(3, lambda i: math.sin(5 * step + 2 * i))
        r = W @ x + b - y
        W.grad, b.grad = torch.outer(r, x), r.clone() if step >= 3 else None
        optimizer.step()
    return W.flatten().tolist() + b.tolist()


def schedule(make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


optim, rate = torch.optim, torch.optim.lr_scheduler
print("plain", run(lambda p: optim.SGD(p, lr=0.1)))
print("momentum", run(lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.5, weight_decay=0.01)))
print("nesterov", run(lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)))
print("groups", run(lambda p: optim.SGD([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0}], lr=0.05, weight_decay=0.1)))
print("adamw", run(lambda p: optim.AdamW(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)))
print("one cycle", schedule(lambda o: rate.OneCycleLR(o, 0.4, 10, pct_start=0.35, div_factor=10, final_div_factor=100), 9))
print("cosine", schedule(lambda o: rate.CosineAnnealingLR(o, 8, 0.1), 9))
