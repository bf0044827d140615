# SPDX-License-Identifier: GPL-2.0-or-later
"""A real cluster, sniffed: all that tcpdump saw must be in our output, decoded.

    sudo python -m tests.live [--seconds 20]

Five real nodes on a loopback of MTU 1500, in a network namespace of their own, with a workload of small changes and of
large ones, which make messages of 60 KB. ``scapy-chitchat sniff --json`` and tcpdump run beside each other.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapy_chitchat import read_messages
from tests.support.namespaces import namespace
from tests.support.peers import PATIENCE, NoPeer, RunningNodes, eventually, running

PROGRAM = "from scapy_chitchat.cli import main; main()"
SNIFF = [sys.executable, "-c", PROGRAM, "sniff"]
NODES = 5
PORT = 7280
LARGE = 6
"""Values of 10 kB that a node sets at once: together they make a message of about 60 KB."""


@dataclass
class Figures:
    """What came of a run."""

    by_tcpdump: int
    by_us: int
    missing: int
    refused: int
    largest: int
    fragments: int
    dropped: int


def has_packet_socket(process: subprocess.Popen[Any]) -> bool:
    """Whether a process listens on an interface."""
    try:
        sockets = {link.readlink().name for link in Path(f"/proc/{process.pid}/fd").iterdir()}
        rows = Path(f"/proc/{process.pid}/net/packet").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(f"socket:[{row.split()[8]}]" in sockets and row.split()[3] != "0000" for row in rows)


@contextmanager
def sniffing(
    *arguments: str, within: Sequence[str] = (), output: Any = subprocess.PIPE, program: str = PROGRAM
) -> Iterator[subprocess.Popen[str]]:
    """``scapy-chitchat sniff`` at work; it ends by itself where a test waits for it in vain."""
    command = [*within, sys.executable, "-c", program, "sniff", "--seconds", str(4 * PATIENCE), *arguments]
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)
    try:
        assert eventually(lambda: has_packet_socket(process) or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def tcpdump(interface: str, path: Path, within: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """tcpdump at work, writing to ``path``."""
    command = ["tcpdump", "-i", interface, "-n", "-U", "-B", "65536", "-s", "0", "-w", str(path), "udp"]
    process = subprocess.Popen([*within, *command], stderr=subprocess.PIPE, text=True)
    try:
        assert eventually(lambda: has_packet_socket(process) or process.poll() is not None)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)


def cluster() -> list[dict[str, Any]]:
    """Five nodes that know of each other through the first."""
    return [
        {
            "version": "0.13",
            "protocol": number % 2,
            "node_id": f"node-{number}",
            "listen": f"127.0.0.{number + 1}:{PORT}",
            "seeds": ["127.0.0.1:7280", "127.0.0.2:7280"],
            "interval": 100,
            "workload": 20,
        }
        for number in range(NODES)
    ]


def large_changes(nodes: RunningNodes, seconds: float) -> None:
    """Change large keys of one node after the other, with values that do not compress."""
    choice = random.Random(1)
    deadline = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < deadline:
        for number in range(LARGE):
            value = "".join(
                choice.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=13_300)
            )
            nodes.ask(f"node-{turn % NODES}", "set", key=f"large-{number}", value=value)
        turn += 1
        time.sleep(0.3)


def run(seconds: float, folder: Path) -> Figures:
    """Run the cluster and both watchers, and compare what they saw."""
    ours, theirs = folder / "ours.jsonl", folder / "theirs.pcap"
    with (
        namespace("live") as within,
        ours.open("wb") as output,
        sniffing("-i", "lo", "--json", "--stats", within=within, output=output) as sniffer,
    ):
        with tcpdump("lo", theirs, within), running(*cluster(), within=within) as nodes:
            large_changes(nodes, seconds)
        sniffer.send_signal(signal.SIGTERM)
        said = sniffer.communicate(timeout=PATIENCE)[1]
        assert sniffer.returncode == 0, said
    return compare(ours, theirs, said)


def compare(ours: Path, theirs: Path, said: str) -> Figures:
    """Each message that tcpdump saw, against ours, by everything but its number and time."""
    seen: Counter[str] = Counter()
    refused = 0
    with ours.open("rb") as lines:
        for line in lines:
            message = json.loads(line)
            refused += "error" in message
            seen[_apart_from_when(message)] += 1
    expected: Counter[str] = Counter()
    largest = 0
    for captured in read_messages(theirs):
        expected[_apart_from_when(json.loads(captured.as_json()))] += 1
        largest = max(largest, len(captured.data))
    return Figures(
        by_tcpdump=expected.total(),
        by_us=seen.total(),
        missing=(expected - seen).total(),
        refused=refused,
        largest=largest,
        fragments=_number(said, "IP fragments"),
        dropped=_number(said, "lost: frames that the kernel dropped"),
    )


def _number(said: str, name: str) -> int:
    """A number of the table of ``--stats``."""
    found = re.search(rf"{name} +([\d,]+)", said)
    assert found, said
    return int(found[1].replace(",", ""))


def _apart_from_when(message: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in message.items() if key not in ("frame", "time")})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = run(seconds, Path(folder))
        except NoPeer as missing:
            sys.exit(str(missing))
    print(
        f"{seconds:.0f} s, {NODES} nodes: tcpdump saw {figures.by_tcpdump:,} messages, the largest of "
        f"{figures.largest:,} bytes; we showed {figures.by_us:,}, of {figures.fragments:,} fragments; missing "
        f"{figures.missing:,}, not decoded {figures.refused:,}, frames dropped {figures.dropped:,}"
    )
    return 1 if figures.missing or figures.refused else 0


if __name__ == "__main__":
    sys.exit(main())
