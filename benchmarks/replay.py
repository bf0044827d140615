# SPDX-License-Identifier: GPL-2.0-or-later
"""What replay reaches: do fresh real nodes take captures, how near does it keep to their moments, how fast is it.

    python -m benchmarks.replay [CAPTURE...] [--speed 20]

Needs tests/peer to be built. As root, and where there is tcpreplay, its rate stands beside ours: it puts the frames of
a capture on a pair of interfaces in a namespace, as they are, while replay makes each message anew for an ordinary
socket and may wait for answers. The captures are those in pcaps/ unless named. Arrival is what the kernel notes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.memory import repeated
from scapy_chitchat import read_messages
from scapy_chitchat.records.classes import KeyValueOp
from scapy_chitchat.records.identity import id_of
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from tests.support.namespaces import namespace
from tests.support.peers import peer_program

ROOT = Path(__file__).parent.parent
CAPTURES = ("v0-three-nodes.pcap", "v1-five-nodes.pcap", "v0-large-fragmented.pcap.gz", "v0-ipv6.pcap")
REPLAY = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "replay"]
SO_TIMESTAMPNS = 35


class Node:
    """A fresh real node."""

    def __init__(self, version: str) -> None:
        words = f"node --version {version} --node-id fresh --cluster-id laptop --listen 127.0.0.1:0"
        self.process = subprocess.Popen(
            [str(peer_program()), *words.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address = self._answer()["ready"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def state(self) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write('{"op":"state"}\n')
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def carried(capture: Path) -> tuple[set[Any], dict[Any, dict[str, Any]]]:
    """The members that digests name, and the last value of each key that deltas carry."""
    members = set()
    keys: dict[Any, dict[str, Any]] = {}
    for captured in read_messages(capture):
        members |= {id_of(entry) for entry in digest_of(captured.message)}
        for section in sections(delta_of(captured.message)):
            held = keys.setdefault(id_of(section.node), {})
            for op in section.changes:
                if isinstance(op, KeyValueOp) and held.get(op.key, ("", 0))[1] < op.version:
                    held[op.key] = (op.value, op.version, op.status)
    return members, keys


def held(state: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """What a node holds of others."""
    return {
        (node["node_id"], node["generation_id"], node["gossip_advertise_addr"]): {
            each["key"]: (each["value"], each["version"], each["status"]) for each in node["key_values"]
        }
        for node in state["nodes"]
        if node["node_id"] != "fresh"
    }


def replay(*arguments: str) -> str:
    return subprocess.run([*REPLAY, *arguments], capture_output=True, text=True).stdout


def taken(capture: Path, version: str, speed: str) -> str:
    """Whether a fresh node has afterwards what the capture carried."""
    members, keys = carried(capture)
    options = ["--version", "0"] if version != "0.13" and capture.name.startswith("v1") else []
    node = Node(version)
    said = replay("--to", node.address, "--cluster-id", "laptop", "--speed", speed, *options, str(capture))
    state = node.state()
    node.close()
    found = held(state)
    listed = len(members & set(found))
    right = sum(found.get(of, {}).get(key) == value for of, kept in keys.items() for key, value in kept.items())
    wanted = sum(map(len, keys.values()))
    extra = len(set(found) - members) + sum(map(len, found.values())) - right
    answered = next(line.split(None, 1)[1] for line in said.splitlines() if line.startswith("answered"))
    return f"{listed} of {len(members)} members, {right} of {wanted} key-values, {extra} others; answered {answered}"


class Sink:
    """Takes datagrams and notes when the kernel got them."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.times: list[float] = []
        threading.Thread(target=self._receive, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def _receive(self) -> None:
        while True:
            _, notes, _, _ = self.socket.recvmsg(65536, 64)
            seconds, nanoseconds = struct.unpack("qq", notes[0][2][:16])
            self.times.append(seconds + nanoseconds / 10**9)


def gaps(capture: Path) -> str:
    """How far the gaps between arrivals are from those of the capture."""
    sink = Sink()
    replay("--to", sink.address, "--cluster-id", "laptop", str(capture))
    times = [float(each.time) for each in read_messages(capture)]
    off = sorted(
        abs((b - a) - (d - c)) * 1000 for a, b, c, d in zip(times, times[1:], sink.times, sink.times[1:], strict=False)
    )
    within = sum(each <= 2 for each in off) / len(off)
    middle, most = off[len(off) // 2], off[-1]
    lost = len(times) - len(sink.times)
    return f"median {middle:.3f} ms, most {most:.2f} ms, {within:.1%} within 2 ms, {lost} lost"


def plain_sleep() -> str:
    """How late a program that does nothing but sleep wakes up, at this time on this machine."""
    late = []
    for _ in range(400):
        due = time.perf_counter() + 0.01
        time.sleep(0.01)
        late.append((time.perf_counter() - due) * 1000)
    late.sort()
    within = sum(each <= 2 for each in late) / len(late)
    return f"median {late[200]:.3f} ms, most {late[-1]:.2f} ms, {within:.1%} within 2 ms"


class Drain:
    """Takes datagrams and counts them: a handful at a time, so that it costs the sender no time to wake it."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.count = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            ending = self._ends.is_set()
            with suppress(BlockingIOError):
                while True:
                    self.socket.recv(65536, socket.MSG_DONTWAIT)
                    self.count += 1
            if ending:
                return
            time.sleep(0.0005)

    def end(self) -> int:
        """How many came."""
        self._ends.set()
        self._thread.join()
        return self.count


def rate(capture: Path, *options: str) -> str:
    drain = Drain()
    said = replay("--to", drain.address, "--asap", *options, str(capture))
    sent = next(line.split(None, 1)[1] for line in said.splitlines() if line.startswith("sent"))
    return f"{sent}; {drain.end():,} arrived"


def tcpreplay(capture: Path, loops: int) -> str:
    """What tcpreplay does with the same frames at its fastest, or why it is not here."""
    if not shutil.which("tcpreplay") or os.geteuid() != 0:
        return "not measured: it wants tcpreplay (apt-get install tcpreplay) and root"
    with namespace() as inside:
        for words in ("add out0 type veth peer name in0", "set out0 mtu 65535 up", "set in0 mtu 65535 up"):
            subprocess.run([*inside, "ip", "link", *words.split()], check=True)
        command = [*inside, "tcpreplay", "--topspeed", f"--loop={loops}", "-i", "out0", str(capture)]
        done = subprocess.run(command, capture_output=True, text=True)
    rated = [line.strip() for line in done.stdout.splitlines() if line.startswith(("Actual", "Rated"))]
    return "; ".join(rated) or done.stderr.strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=Path, default=[ROOT / "pcaps" / name for name in CAPTURES])
    parser.add_argument("--speed", default="20", help="of the replays into nodes")
    options = parser.parse_args()
    print("into fresh nodes, --cluster-id laptop (V1 into 0.10.1 with --version 0)")
    for version in ("0.10.1", "0.13.0"):
        for capture in options.captures:
            print(f"  {version}  {capture.name:<28} {taken(capture, version.rsplit('.', 1)[0], options.speed)}")
    print("gaps at speed 1, against those of the capture")
    for capture in options.captures:
        print(f"  {capture.name:<36} {gaps(capture)}")
    print(f"  {'(a plain sleep, for comparison)':<36} {plain_sleep()}")
    print("--asap to a sink")
    first = options.captures[0]
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / f"{first.name} x 200"
        long.write_bytes(b"".join(repeated(first, 200)))
        laptop = ("--cluster-id", "laptop")
        for capture, words in (
            (first, ("--loop", "200")),
            (first, ("--loop", "200", "--no-window")),
            (first, (*laptop, "--loop", "200")),
            (first, laptop),
            (long, laptop),
            (long, (*laptop, "--heartbeat-offset", "1000")),
            (long, (*laptop, "--map-node", "node-0=other")),
        ):
            print(f"  {capture.name} {' '.join(words)}\n    {rate(capture, *words)}")
    print(f"the same frames by tcpreplay --topspeed\n    {tcpreplay(first, 200)}")


if __name__ == "__main__":
    main()
