# SPDX-License-Identifier: GPL-2.0-or-later
"""That memory stays flat over long captures, and time grows with their length alone.

    python -m benchmarks.memory [--messages 1000000]

Captures are repeated with shifted times into a pipe, so nothing large touches the disk; ``read --json`` runs as its own
process, and the table shows its peak memory and its time for a tenth, a half and the whole.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CaptureFile

PCAPS = Path(__file__).parent.parent / "pcaps"
READ = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "read", "--json", "-"]


def records(path: Path) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The head of a classic capture, and its frames with their times in microseconds."""
    with CaptureFile(path) as capture:
        frames = [(frame.time, struct.pack("<II", len(frame.data), frame.length) + frame.data) for frame in capture]
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1), frames


def repeated(path: Path, times: int) -> Iterator[bytes]:
    """A capture of ``times`` repetitions, each later than the one before."""
    head, frames = records(path)
    yield head
    length = frames[-1][0] - frames[0][0] + 1000
    for round_ in range(times):
        shifted = ((moment + round_ * length, rest) for moment, rest in frames)
        yield b"".join(struct.pack("<II", moment // 10**6, moment % 10**6) + rest for moment, rest in shifted)


def measure(path: Path, times: int) -> tuple[float, float]:
    """Seconds and peak megabytes of ``read --json`` on so many repetitions."""
    started = time.perf_counter()
    process = subprocess.Popen(READ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    for piece in repeated(path, times):
        process.stdin.write(piece)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument(
        "captures", nargs="*", type=Path, default=[PCAPS / "v1-five-nodes.pcap", PCAPS / "v0-large-fragmented.pcap.gz"]
    )
    options = parser.parse_args()
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("capture", "messages", "seconds", "µs a message", "peak MB"):
        table.add_column(name, justify="left" if name == "capture" else "right")
    for path in options.captures:
        once = sum(1 for _ in read_messages(path))
        for share in (10, 2, 1):
            times = max(1, options.messages // share // once)
            seconds, megabytes = measure(path, times)
            count = times * once
            table.add_row(path.name, f"{count:,}", f"{seconds:.1f}", f"{seconds / count * 1e6:.1f}", f"{megabytes:.0f}")
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
