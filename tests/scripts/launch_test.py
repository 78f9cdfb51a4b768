#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""launch_test.py sockets|mpi several_processes [mpiexec]: trains on 2 and 4 processes, and kills one of three."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

SKIPPED = 77
LAUNCH = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "launch.py"


def with_sockets(processes, *command):
    return run([sys.executable, str(LAUNCH), "-n", str(processes), *command])


def with_mpi(processes, *command):
    version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True).stdout
    flags = ["--oversubscribe", "--allow-run-as-root"] if "Open MPI" in version or "OpenRTE" in version else []
    return run([mpiexec, *flags, "-n", str(processes), *command])


def run(command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRAM_")}
    environment["OMP_NUM_THREADS"] = "1"
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done, time.monotonic() - begin


def runs(process):
    status = pathlib.Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


class SeveralProcesses(unittest.TestCase):
    def test_training_equals_that_of_one_process(self):
        for processes in (2, 4):
            done, _ = launch(processes, program, "equal", str(processes))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(done.stdout.count("bits identical"), 4 * processes, done.stdout)

    def test_the_others_end_when_one_is_killed(self):
        done, seconds = launch(3, program, "die", "3")
        self.assertEqual(done.returncode, 137, done.stderr)
        self.assertLess(seconds, 20)
        if launch is with_sockets:
            for rank in (0, 2):
                self.assertRegex(done.stderr, rf"rank {rank} noticed in [0-3]\.\d s: all_reduce of 1000000 values, operation "
                                 rf"22: rank {rank}: rank \d has ended the connection")
            self.assertIn("launch.py: rank 1 ended with SIGKILL", done.stderr)


class Launcher(unittest.TestCase):
    def setUp(self):
        if launch is not with_sockets:
            self.skipTest("this is about launch.py")

    def test_processes_find_numbers_and_a_folder_that_is_gone_afterwards(self):
        done, _ = with_sockets(3, "sh", "-c", 'echo "$GRAM_RANK/$GRAM_SIZE $GRAM_RENDEZVOUS"; test -d "$GRAM_RENDEZVOUS"')
        self.assertEqual(done.returncode, 0)
        lines = sorted(done.stdout.split("\n"))[1:]
        self.assertEqual([line.split()[0] for line in lines], ["0/3", "1/3", "2/3"])
        self.assertFalse(os.path.exists(lines[0].split()[1]))

    def test_a_failure_ends_processes_that_do_not_end_by_themselves(self):
        done, seconds = run([sys.executable, str(LAUNCH), "-n", "2", "--grace", "0.5", "sh", "-c",
                             'test "$GRAM_RANK" = 0 && exec sleep 60; exit 5'])
        self.assertEqual(done.returncode, 5)
        self.assertLess(seconds, 10)
        self.assertIn("rank 1 ended with exit status 5", done.stderr)
        self.assertIn("rank 0 did not end by itself", done.stderr)

    def test_processes_end_with_a_launcher_that_is_killed(self):
        launcher = subprocess.Popen([sys.executable, str(LAUNCH), "-n", "2", "sh", "-c", "echo $$; exec sleep 60"], stdout=subprocess.PIPE, text=True)
        processes = [int(launcher.stdout.readline()) for _ in range(2)]
        self.assertTrue(all(runs(process) for process in processes))
        launcher.kill()
        launcher.communicate()
        end = time.monotonic() + 10
        while any(runs(process) for process in processes) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(any(runs(process) for process in processes))

    def test_the_command_may_stand_behind_two_dashes(self):
        done, _ = with_sockets(1, "--", "echo", "-n", "words")
        self.assertEqual((done.returncode, done.stdout), (0, "words"))

    def test_a_program_that_is_not_there(self):
        done, _ = with_sockets(2, "/nowhere/program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("/nowhere/program", done.stderr)


kind, program, mpiexec = (sys.argv[1:] + [""])[:3]
if kind == "mpi" and not mpiexec:
    print("skipped: MPI is absent (Debian: libopenmpi-dev, openmpi-bin)")
    sys.exit(SKIPPED)
launch = with_mpi if kind == "mpi" else with_sockets
unittest.main(argv=sys.argv[:1])
