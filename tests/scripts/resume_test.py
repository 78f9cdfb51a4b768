#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""resume_test.py train_by_name: kills a training again and again, at random moments, and goes on from its checkpoint. Log and
checkpoint must be those of a training that nobody has killed, to the byte. The moments depend on the machine; the outcome must not."""
import contextlib
import fcntl
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

from noise import write_cifar10

program = pathlib.Path(sys.argv.pop(1)).resolve()


scratch = tempfile.TemporaryDirectory()
data = pathlib.Path(scratch.name) / "data"
write_cifar10(data)


def train(folder, *options, textures=False, state="state", log="log.csv", epochs=3, seconds=300.0):
    """Textures take a second for every epoch: time to be killed in."""
    images = [] if textures else ["--data", "cifar10", "--folder", data]
    command = [program, *images, "--epochs", str(epochs), "--steps", "2", "--batch", "8", "--checkpoint", folder / state, "--log", folder / log]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=seconds)


@contextlib.contextmanager
def claimed(path):
    """As another training claims a file."""
    lock = pathlib.Path(f"{path}.lock")
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    lock.unlink()


class Resume(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_a_training_that_is_killed_ends_as_one_that_is_not(self):
        whole, killed = self.folder / "whole", self.folder / "killed"
        whole.mkdir(), killed.mkdir()
        self.assertEqual(train(whole, textures=True).returncode, 0)
        kills, moments = 0, random.Random(1)
        while True:
            go_on = ["--resume"] if (killed / "state").exists() else []
            try:
                done = train(killed, *go_on, textures=True, seconds=moments.uniform(0.3, 3 + kills))
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
                                      ("--log", self.folder / "state.lock", "/state.lock' is a name that is made of"),
                                      ("--log", self.folder / "state.previous.3", "/state.previous.3' is a name that is made of"),
                                      ("--batch", "1", "Batch norms in the heads cannot learn from one image"),
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

    def content(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def refused(self, reason, *options, **others):
        """A training with these options ends with this reason, and leaves all files alone."""
        before = self.content()
        done = train(self.folder, *options, **others)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(reason, done.stderr)
        self.assertEqual(self.content(), before)

    def kill_when_there_is(self, name, *options):
        """Starts a training and kills it, in its first epoch, when it has written or renamed a file."""
        command = [program, "--batch", "8", "--checkpoint", self.folder / "state", *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            while not (self.folder / name).exists():
                self.assertIsNone(running.poll())
                time.sleep(0.01)
            running.kill()

    def epochs_in(self, log):
        return [row.split(",")[0] for row in (self.folder / log).read_text().splitlines()]

    def test_a_file_that_another_training_has_is_left_alone(self):
        self.assertEqual(train(self.folder, epochs=1).returncode, 0)
        for name in ("state", "log.csv"):
            with claimed(self.folder / name):
                for options in ((), ("--resume",)):
                    self.refused(f"'{self.folder}/{name}': in use: another process holds", *options)
        (self.folder / "state").unlink()
        with claimed(self.folder / "state"):  # the state is not looked at before it is claimed
            self.refused("in use", "--resume")

    def test_a_training_goes_on_with_its_own_log(self):
        self.assertEqual(train(self.folder, epochs=1).returncode, 0)
        self.assertEqual(train(self.folder, "--seed", "2", state="state2", log="log2.csv", epochs=1).returncode, 0)
        self.refused(f"'{self.folder}/log2.csv': not the log of this training", "--resume", log="log2.csv")
        (self.folder / "log.csv").rename(self.folder / "moved.csv")
        done = train(self.folder, "--resume", log="moved.csv", epochs=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.epochs_in("moved.csv"), ["epoch", "1", "2"])
        done = train(self.folder, "--resume", epochs=3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{self.folder}/log.csv is not there: a log is begun that lacks the epochs that are done\n", done.stdout)
        self.assertEqual(self.epochs_in("log.csv"), ["epoch", "3"])
        self.refused("/moved.csv': not the log of this training", "--resume", log="moved.csv", epochs=4)
        done = train(self.folder, "--resume", epochs=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.epochs_in("log.csv"), ["epoch", "3", "4"])

    def test_a_training_without_a_done_epoch_keeps_what_it_finds_as_its_log(self):
        self.kill_when_there_is("state")
        (self.folder / "notes").write_text("precious")
        self.kill_when_there_is("notes.previous", "--resume", "--log", self.folder / "notes")
        self.assertEqual((self.folder / "notes.previous").read_text(), "precious")

    def test_a_link_stays_one(self):
        (self.folder / "elsewhere").mkdir()
        for name in ("state", "log.csv"):
            (self.folder / "elsewhere" / name).write_text("earlier")
            (self.folder / name).symlink_to(f"elsewhere/{name}")
        with claimed(self.folder / "elsewhere" / "state"):
            self.assertIn("in use", train(self.folder).stderr)
        done = train(self.folder, epochs=1)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("state", "log.csv"):
            self.assertTrue((self.folder / name).is_symlink())
            self.assertEqual((self.folder / "elsewhere" / f"{name}.previous").read_text(), "earlier")
        self.assertEqual(train(self.folder, "--resume", epochs=2).returncode, 0)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"state", "log.csv", "elsewhere"})

    def test_what_is_no_file_is_not_gone_on_with(self):
        for options in ((), ("--resume",)):
            done = train(self.folder, *options, log="/dev/null", epochs=1 + len(options))
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["state"])

    def test_a_state_that_is_closed_to_others_stays_so(self):
        self.assertEqual(train(self.folder, epochs=1).returncode, 0)
        (self.folder / "state").chmod(0o600)
        self.assertEqual(train(self.folder, "--resume", epochs=2).returncode, 0)
        self.assertEqual((self.folder / "state").stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()
