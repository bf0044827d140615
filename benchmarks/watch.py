# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the engine keeps pace below the view: 20,000 messages a second, with ``watch`` looking on and without.

    python -m benchmarks.watch [--rate 20000] [--seconds 5] [--nodes 20]

The same reckoned messages (gossip.py), made beforehand, are fed at their rate to two processes, one after the other:
the engine alone, and the engine with the view at 4 Hz on 120 x 40. Printed is the CPU time of each, their ratio, and by
how much the last message was late.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gossip import FANOUT, INTERVAL, Gossip, write_capture
from scapy_chitchat.cli.watch import WatchOptions, frames_of, reader_of, settings_of, words_of
from scapy_chitchat.watch.app import Watch
from scapy_chitchat.watch.watcher import Watcher


def alone(watcher: Watcher) -> None:
    """The engine, and nobody who asks."""
    watcher.start()
    while not watcher.at_end:
        time.sleep(0.05)
    watcher.stop()
    watcher.join()


def with_view(watcher: Watcher) -> None:
    """The engine, and the view on a screen of its own."""

    async def run() -> None:
        app = Watch(watcher, words_of(WatchOptions()), "load", live=False)
        async with app.run_test(size=(120, 40)):
            while not watcher.at_end:
                await asyncio.sleep(0.05)

    asyncio.run(run())


def measure(path: str, view: bool, speed: float, seconds: float) -> None:
    """Run one of the two; print its CPU seconds, and how late the end was."""
    wish = WatchOptions()
    watcher = Watcher(frames_of([path], wish), reader_of(wish), settings_of(wish), speed=speed)
    began, cpu = time.monotonic(), time.process_time()
    (with_view if view else alone)(watcher)
    print(time.process_time() - cpu, time.monotonic() - began - seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--measure", nargs=4, metavar="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        path, view, speed, seconds = chosen.measure
        measure(path, view == "view", float(speed), float(seconds))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "load.pcap"
        total = int(chosen.rate * chosen.seconds)
        per_second = chosen.nodes * FANOUT * 3 * 1_000_000 / INTERVAL
        rounds = int(total / per_second) + 1
        count = write_capture(capture, itertools.islice(Gossip(chosen.nodes).rounds(rounds), total))
        speed = chosen.rate / per_second
        taken = {}
        for what in ("engine", "view"):
            command = [sys.executable, "-m", "benchmarks.watch", "--measure", str(capture), what]
            command += [str(speed), str(chosen.seconds)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            cpu, late = map(float, said.split())
            taken[what] = cpu
            took = f"{cpu:.2f} s of CPU, the end {late:.2f} s late"
            print(f"{what:<7} {count:,} messages in {chosen.seconds:g} s: {took}")
    print(f"with the view: {taken['view'] / taken['engine']:.2f} times the CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
