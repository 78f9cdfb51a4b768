# SPDX-License-Identifier: MIT
"""A data set of noise in the form of CIFAR-10, so small that a training takes no time."""
import random


def write_cifar10(folder, train=20, test=4):
    folder.mkdir()
    noise = random.Random(1)
    for name, count in (("data_batch_1.bin", train), ("test_batch.bin", test)):
        (folder / name).write_bytes(b"".join(bytes([i % 10]) + noise.randbytes(3072) for i in range(count)))
