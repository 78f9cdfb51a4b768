#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""resume_test.py train_by_name: kills a training again and again, at random moments, and goes on from its checkpoint. Log and
checkpoint must be those of a training that nobody has killed, to the byte. The moments depend on the machine; the outcome must not."""
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

program = pathlib.Path(sys.argv.pop(1)).resolve()


def train(folder, *options, epochs=3, seconds=300.0):
    command = [program, "--epochs", str(epochs), "--steps", "2", "--batch", "8", "--checkpoint", folder / "state", "--log", folder / "log.csv"]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=seconds)


class Resume(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_a_training_that_is_killed_ends_as_one_that_is_not(self):
        whole, killed = self.folder / "whole", self.folder / "killed"
        whole.mkdir(), killed.mkdir()
        self.assertEqual(train(whole).returncode, 0)
        kills, moments = 0, random.Random(1)
        while True:
            go_on = ["--resume"] if (killed / "state").exists() else []
            try:
                done = train(killed, *go_on, seconds=moments.uniform(0.3, 3 + kills))
            except subprocess.TimeoutExpired:  # by then it is killed
                kills += 1
                continue
            self.assertEqual(done.returncode, 0, done.stderr)
            break
        self.assertGreater(kills, 0)
        for name in ("log.csv", "state"):
            self.assertEqual((killed / name).read_bytes(), (whole / name).read_bytes(), name)
        self.assertEqual({path.name for path in killed.iterdir() if ".previous" not in path.name}, {"log.csv", "state"})

    def test_a_new_training_keeps_the_files_of_an_earlier_one(self):
        for name in ("state", "log.csv"):
            (self.folder / name).write_text("earlier")
        for time in ("", ".2"):
            done = train(self.folder, epochs=1)
            self.assertEqual(done.returncode, 0, done.stderr)
            for name in ("state", "log.csv"):
                self.assertIn(f"{name} was there from an earlier training and is now {self.folder / name}.previous{time}", done.stdout)
                self.assertEqual((self.folder / f"{name}.previous").read_text(), "earlier")
                self.assertNotEqual((self.folder / name).read_bytes(), b"earlier")

    def test_a_training_that_cannot_begin_leaves_the_files_alone(self):
        (self.folder / "state").write_text("earlier")
        for option, value, reason in (("--log", "/nowhere/log.csv", "'/nowhere/log.csv': cannot write"),
                                      ("--log", self.folder / "." / "state", "cannot be one file"), ("--log", "", "The path is empty"),
                                      ("--heads", "010", "010 is not a number")):
            done = subprocess.run([program, "--checkpoint", self.folder / "state", option, value], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0, (option, value))
            self.assertIn(reason, done.stderr)
            self.assertEqual([path.name for path in self.folder.iterdir()], ["state"])

    def test_a_training_does_not_become_shorter_than_it_is(self):
        self.assertEqual(train(self.folder, epochs=2).returncode, 0)
        done = train(self.folder, "--resume", epochs=1)
        self.assertEqual((done.returncode, done.stderr), (1, f"error: '{self.folder}/state': 2 epochs are done, more than --epochs 1\n"))

    def test_what_cannot_be_gone_on_from_is_named(self):
        done = train(self.folder, "--resume")
        self.assertEqual((done.returncode, done.stderr), (1, f"error: '{self.folder}/state': cannot open: No such file or directory\n"))
        (self.folder / "state").write_text("nothing of the kind")
        done = train(self.folder, "--resume")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"'{self.folder}/state': header of ", done.stderr)


if __name__ == "__main__":
    unittest.main()
