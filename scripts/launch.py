#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts a program as several processes that train together: launch.py -n 2 PROGRAM ARGUMENTS

Each process finds its number, the number of processes and a folder to meet in in GRAM_RANK, GRAM_SIZE and
GRAM_RENDEZVOUS; SocketCommunicator reads them. Processors are shared out through OMP_NUM_THREADS unless that is set.
When a process fails the others get a few seconds to end by themselves. The exit status is the largest of all, 128 + n
for a process that signal n has ended.
"""
import argparse
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--processes", type=int, default=2)
    parser.add_argument("--grace", type=float, default=10, help="seconds between a failure and the end of the others")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command or options.processes < 1:
        parser.error("a program and at least one process are needed")

    environment = dict(os.environ, GRAM_SIZE=str(options.processes))
    processors = len(os.sched_getaffinity(0))
    environment.setdefault("OMP_NUM_THREADS", str(max(1, processors // options.processes)))
    with tempfile.TemporaryDirectory(prefix="gram.") as folder:
        environment["GRAM_RENDEZVOUS"] = folder
        processes = []
        try:
            for rank in range(options.processes):
                processes.append(subprocess.Popen(options.command, env=dict(environment, GRAM_RANK=str(rank)), preexec_fn=end_with_parent))
            return wait(processes, options.grace)
        except OSError as error:
            print(f"launch.py: {error}", file=sys.stderr)
            return 127
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()


LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


def end_with_parent() -> None:
    """In a new process: to be killed when launch.py is, which SIGKILL gives no time to clean up."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def wait(processes: list, grace: float) -> int:
    running, statuses, end = dict(enumerate(processes)), [], None
    while running and (end is None or time.monotonic() < end):
        for rank, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[rank]
            if code != 0:
                statuses.append(code if code > 0 else 128 - code)
                end = end or time.monotonic() + grace
                reason = f"exit status {code}" if code > 0 else signal_name(-code)
                print(f"launch.py: rank {rank} ended with {reason}", file=sys.stderr, flush=True)
        time.sleep(0.02)
    for rank in running:
        print(f"launch.py: rank {rank} did not end by itself", file=sys.stderr, flush=True)
    return max(statuses, default=0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
