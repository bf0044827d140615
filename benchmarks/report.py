# SPDX-License-Identifier: GPL-2.0-or-later
"""How long `report` takes beside `state` on the same capture, and how large its page is.

    python -m benchmarks.report [--messages 274000] [--nodes 10]

The messages are reckoned (benchmarks/gossip.py). Seconds are those of the processor, of whole commands, the better of
two runs each. A second capture has 300 nodes, for the size of its page.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.gossip import FANOUT, Gossip, write_capture

MANY = 300
"""Nodes of the second capture."""
ROUNDS = 4


def seconds(*arguments: str) -> float:
    """Seconds of the processor that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "scapy_chitchat", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(name: str, capture: Path, messages: int, times: int) -> None:
    """Print what both commands take."""
    page = capture.with_suffix(".html")
    state = min(seconds("state", str(capture)) for _ in range(times))
    report = min(seconds("report", str(capture), "-o", str(page)) for _ in range(times))
    size = page.stat().st_size / 1e6
    print(f"{name}: {messages:,} messages, {capture.stat().st_size / 1e6:.0f} MB", flush=True)
    print(f"  state {state:.1f} s, report {report:.1f} s: {report / state:.2f} times, page {size:.2f} MB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=274_000)
    parser.add_argument("--nodes", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "long.pcap"
        rounds = -(-options.messages // (3 * FANOUT * options.nodes))
        messages = write_capture(capture, Gossip(options.nodes).rounds(rounds))
        compare(f"{options.nodes} nodes, {rounds} rounds", capture, messages, 2)
        capture = Path(folder) / "many.pcap"
        messages = write_capture(capture, Gossip(MANY).rounds(ROUNDS))
        compare(f"{MANY} nodes, {ROUNDS} rounds", capture, messages, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
