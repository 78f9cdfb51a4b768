#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trainers_test.py FOLDER: what holds between the programs of that folder. One refuses the state of another; train_parallel learns what
train_ga_resnet does; `gram run` takes the trained network from a state."""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from noise import write_cifar10

programs = pathlib.Path(sys.argv.pop(1)).resolve()


def run(program, *options):
    return subprocess.run([programs / program, *options], capture_output=True, text=True, timeout=300)


class Trainers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        write_cifar10(self.folder / "data")

    def train(self, program, *options, data="data", epochs=1, state="state"):
        return run(program, "--data", "cifar10", "--folder", self.folder / data, "--epochs", str(epochs), "--batch", "8", "--checkpoint", self.folder / state, *options)

    def logits(self, state, *network):
        """Of gram run, for an image of zeros."""
        header = json.dumps({"x": {"dtype": "F32", "shape": [1, 3, 32, 32], "data_offsets": [0, 12288]}}).encode()
        (self.folder / "x").write_bytes(struct.pack("<Q", len(header)) + header + bytes(12288))
        output = self.folder / "logits"
        done = run("gram", "run", *network, "--weights", self.folder / state, "--input", self.folder / "x", "--output", output)
        self.assertEqual(done.returncode, 0, done.stderr)
        written = output.read_bytes()
        size = struct.unpack("<Q", written[:8])[0]
        return {name: entry["shape"] for name, entry in json.loads(written[8:8 + size]).items() if name.startswith("out/")}

    def test_the_trained_network_can_be_run(self):
        for program, network, heads in (("train_ga_resnet", "ga_resnet29", 3), ("train_ga_vit", "ga_vit_small32", 3),
                                        ("train_explicit_resnet", "explicit_resnet29", 1), ("train_by_name", "ga_vit_tiny", 3)):
            with self.subTest(program):
                done = self.train(program, state=program)
                self.assertEqual(done.returncode, 0, done.stderr)
                shapes = self.logits(program, "--model", network, "--classes", "10", "--heads", str(heads))
                self.assertEqual(shapes, {f"out/logits{i}": [1, 10] for i in range(heads)})

    def test_the_network_of_train_ga_vit_is_the_one_of_that_name(self):
        logs = []
        for program, *model in (("train_ga_vit",), ("train_by_name", "--model", "ga_vit_small32")):  # one recipe
            done = self.train(program, *model, "--log", self.folder / "log.csv")
            self.assertEqual(done.returncode, 0, done.stderr)
            logs.append((self.folder / "log.csv").read_text())
        self.assertEqual(*logs)

    def test_a_state_is_gone_on_from_by_its_program_on_its_data(self):
        write_cifar10(self.folder / "other", train=24)
        self.assertEqual(self.train("train_ga_resnet").returncode, 0)
        for program, folder, reason in (("train_ga_resnet", "other", "images '(20, 32, 32, 3)', not '(24, 32, 32, 3)'"),
                                        ("train_parallel", "data", "program 'train_ga_resnet', not 'train_parallel'")):
            done = self.train(program, "--resume", data=folder, epochs=2)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"the state of a training with other settings: {reason}\n", done.stderr)
        (self.folder / "data").rename(self.folder / "moved")
        done = self.train("train_ga_resnet", "--resume", data="moved", epochs=2)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_two_processes_go_on_from_their_state(self):
        launch = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "launch.py"
        train = [sys.executable, launch, "-n", "2", programs / "train_parallel", "--data", "cifar10", "--folder", self.folder / "data", "--batch", "8",
                 "--checkpoint", self.folder / "state", "--log", self.folder / "log.csv"]
        for epochs, go_on in (("1", ()), ("2", ("--resume",))):
            done = subprocess.run([*train, "--epochs", epochs, *go_on], capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([row.split(",")[0] for row in (self.folder / "log.csv").read_text().splitlines()], ["epoch", "1", "2"])

    def test_the_parallel_trainer_learns_what_the_first_one_does(self):
        for program in ("train_ga_resnet", "train_parallel"):
            done = self.train(program, "--log", self.folder / f"{program}.csv", epochs=2, state=program)
            self.assertEqual(done.returncode, 0, done.stderr)  # the images are photographs: cropped and mirrored
        first, parallel = ((self.folder / f"{program}.csv").read_text() for program in ("train_ga_resnet", "train_parallel"))
        self.assertEqual(first, parallel)


if __name__ == "__main__":
    unittest.main()
