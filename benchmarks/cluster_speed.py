# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the cluster engine is, and what it holds in memory, beside reading the same capture without it.

    python -m benchmarks.cluster_speed [--nodes 300]

Messages are reckoned (benchmarks/gossip.py): once in clusters of ten, whose digests have 10 entries, once in a cluster
where all observe all. Both are read from a capture, one process each; "alone" is reading and decoding without the
engine, in the same process. "predicted" shows that the reckoned messages are such as nodes would say. Memory is what
the process gained, after each tenth of the capture. Then a real capture is played ten times over, each time as if it
came after the one before. Seconds are those of the processor, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.gossip import Gossip, Packet, write_capture
from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.cluster import Cluster, Settings
from tests.support import PCAPS

SMALL = 10
"""Nodes of a small cluster."""
TENTHS = 10
PAGE = os.sysconf("SC_PAGE_SIZE")


def megabytes() -> float:
    """What the process has of memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def entries(message: CapturedMessage) -> int:
    """How many entries the digest of a message has."""
    return len(getattr(message.message, "digest", ()))


def merged(clusters: list[Gossip], rounds: int) -> Iterator[Packet]:
    """What several clusters say, each round of all before the next."""
    for turn in range(rounds):
        yield from sorted(packet for cluster in clusters for packet in cluster.rounds(1, turn))


def measure(capture: Path, plays: int) -> list[str]:
    """The figures of a capture that is played so many times: as columns of the table."""
    alone = timed_reading(capture) if plays == 1 else 0.0
    each = [entries(message) for message in read_messages(capture)]
    count, told = len(each), sum(each) * plays
    cluster, seconds, holds = Cluster(Settings()), 0.0, [megabytes()]
    fed = 0
    for turn in range(plays):
        began = time.process_time()
        for message in read_messages(capture):
            if plays > 1:
                later = message.datagram.time + turn * 3600 * 10**message.datagram.decimals
                message.datagram = message.datagram._replace(time=later)
            for _ in cluster.feed(message):
                pass
            fed += 1
            if fed * TENTHS // (count * plays) >= len(holds):
                seconds += time.process_time() - began
                holds.append(megabytes())
                began = time.process_time()
        seconds += time.process_time() - began
    shares = [state.predicted for state in cluster.at()]
    gained = [each - holds[0] for each in holds[1:]]
    return [
        f"{fed:,}",
        f"{told / fed:.0f}",
        f"{fed / seconds:,.0f}",
        f"{told / seconds / 1e6:.2f}",
        "-" if shares[0] is None else f"{100 * shares[0]:.2f} %",
        f"{seconds / alone:.1f}" if alone else "",
        " ".join(f"{each:.0f}" for each in gained),
    ]


def timed_reading(capture: Path) -> float:
    """Seconds to read and decode a capture: the better of two times."""
    times = []
    for _ in range(2):
        began = time.process_time()
        for message in read_messages(capture):
            entries(message)
        times.append(time.process_time() - began)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--measure", nargs=2, metavar=("CAPTURE", "PLAYS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*measure(Path(options.measure[0]), int(options.measure[1])), sep="\t")
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("capture")
    for name in (
        "messages",
        "entries each",
        "messages/s",
        "million entries/s",
        "predicted",
        "times alone",
        "MB gained, by tenths",
    ):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.pcap", Path(folder) / "large.pcap"
        clusters = [Gossip(SMALL, number) for number in range(options.nodes // SMALL)]
        write_capture(small, merged(clusters, 20))
        write_capture(large, Gossip(options.nodes).rounds(12))
        story = PCAPS / "story.pcap.gz"
        named = [
            (f"{len(clusters)} clusters of {SMALL}", small, 1),
            (f"{options.nodes} nodes, all observing all", large, 1),
            (f"{story.name}, ten times", story, 10),
        ]
        for name, capture, plays in named:
            command = [sys.executable, "-m", "benchmarks.cluster_speed", "--measure", str(capture), str(plays)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            table.add_row(name, *done.stdout.rstrip("\n").split("\t"))
    Console(width=160).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
