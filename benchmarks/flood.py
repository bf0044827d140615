# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a flood of tiny fragments on an interface delays the next whole message, and what each fragment costs.

    sudo python -m benchmarks.flood [--rounds 10]

Two namespaces are linked; from one of them go 8,189 fragments of eight bytes, as fast as they can be sent, and a
message behind them; in the other ``scapy-chitchat sniff`` runs. The delay is from when the message was sent to when its
line was read. The reader alone, without an interface, is measured beside it. Both name CPU time, which other work on
the machine changes less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scapy_chitchat.capture import CaptureFile, DatagramReader
from tests.live import sniffing
from tests.support import ROOT
from tests.support.namespaces import VETH, linked

FLOOD = ROOT / "tests" / "capture" / "faults" / "dos-fragments.pcap.gz"

SENDER = f"""
import socket, sys, time
flood, message = ([bytes.fromhex(each) for each in sys.stdin.readline().split()] for _ in range(2))
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(({VETH!r}, 0))
    for number, line in enumerate(sys.stdin):
        # another identification in each round, or they would be known from the one before
        for frame in [f[:18] + number.to_bytes(2, "big") + f[20:] for f in flood] if line == "flood\\n" else ():
            out.send(frame)
        sent = time.monotonic()
        out.send(message[0])
        print(sent, flush=True)
"""


def message() -> bytes:
    """A frame with a small message from an address that the flood does not come from."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    from scapy_chitchat import Chitchat, ChitchatSyn

    return bytes(Ether() / IP(src="10.9.9.9", dst="10.77.0.2") / UDP(sport=7280) / Chitchat() / ChitchatSyn())


def cpu_of(process: int) -> float:
    """Seconds of CPU that a process has taken."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def live(flood: list[bytes], rounds: int) -> None:
    """Flood an interface and print the delays."""
    with (
        linked(["10.77.0.1/24"], ["10.77.0.2/24"]) as (here, there),
        sniffing("-i", VETH, "--fields", "source", within=there) as sniffer,
        subprocess.Popen(
            [*here, sys.executable, "-c", SENDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sender,
    ):
        assert sender.stdin
        assert sender.stdout
        assert sniffer.stdout
        sender.stdin.write(" ".join(each.hex() for each in flood) + "\n" + message().hex() + "\n")
        for what, count in (("nothing", 0), ("the flood", len(flood))):
            delays, costs = [], []
            for _ in range(rounds):
                before = cpu_of(sniffer.pid)
                sender.stdin.write("flood\n" if count else "message\n")
                sender.stdin.flush()
                sent = float(sender.stdout.readline())
                while not sniffer.stdout.readline().startswith("10.9.9.9:"):
                    pass
                delays.append(time.monotonic() - sent)
                costs.append((cpu_of(sniffer.pid) - before) / (count or 1) * 1e6)
            print(
                f"behind {what:<10} delay: median {statistics.median(delays) * 1000:.0f} ms, "
                f"most {max(delays) * 1000:.0f} ms; CPU {statistics.median(costs):.1f} µs a frame"
            )
        sender.stdin.close()


def alone(frames: Path, rounds: int) -> None:
    """Read the flood from memory and print the cost."""
    with CaptureFile(frames) as opened:
        read = list(opened)
    costs = []
    for _ in range(rounds):
        reader = DatagramReader()
        before = time.process_time()
        for frame in read:
            reader.read(frame)
        costs.append((time.process_time() - before) / len(read) * 1e6)
    print(f"the reader alone: CPU median {statistics.median(costs):.2f} µs a fragment, least {min(costs):.2f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    if os.geteuid() != 0:
        sys.exit("capturing needs root")
    with CaptureFile(FLOOD) as opened:
        flood = [frame.data for frame in opened]
    print(f"{len(flood):,} frames, {sum(map(len, flood)):,} bytes; load {os.getloadavg()[0]:.1f}")
    live(flood, rounds)
    alone(FLOOD, rounds)


if __name__ == "__main__":
    main()
