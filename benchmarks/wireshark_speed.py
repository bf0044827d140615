# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Lua dissector costs per field, side by side with Wireshark's own DNS dissector, written in C.

    python -m benchmarks.wireshark_speed [--tshark FOLDER] [--messages N]

Both get messages with a like number of fields, in one run on one machine, so that the ratio means something elsewhere.
What is counted is all of tshark's CPU time, per field of the tree. Chitchat's messages come twice: with raw blocks,
which is the dissector alone, and as nodes compress them, which is zstd as well. The fields alone are what Wireshark's
interface to Lua costs by itself, without a dissector's work: see leaves.lua.

    tree        tshark -V, to nowhere
    filter      a display filter on one field deep in the message, which matches nothing
    no tree     lines of a packet list

The first table is all of a run; the second is without what a tshark takes that has no messages to read, which the first
spreads over the messages: the more messages, the closer the first comes to the second.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scapy.layers.dns import DNS, DNSQR, DNSRR

from scapy_chitchat.wire.layers import Block, Chitchat, ChitchatSynAck, KeyValueOp, NodeDigest, NodeOp
from tests.support.tsharks import DISSECTOR, Tshark, write_capture

LEAVES = Path(__file__).parent / "leaves.lua"
ENTRIES, KEYS = 40, 100
DNS_RECORDS = 176


def items() -> tuple[list[NodeDigest], list[NodeOp | KeyValueOp]]:
    """A digest of 40 nodes and a delta of 2 nodes with 100 keys."""
    digest = [
        NodeDigest(
            node_id=f"node-{index:03d}",
            generation_id=1700000000 + index,
            ip=f"10.0.0.{index}",
            heartbeat=index * 7919,
            max_version=index,
        )
        for index in range(ENTRIES)
    ]
    delta: list[NodeOp | KeyValueOp] = []
    for index in range(KEYS):
        if index % (KEYS // 2) == 0:
            delta.append(NodeOp(node_id=f"node-{index:03d}", generation_id=1700000000 + index, ip="10.0.0.1"))
        delta.append(
            KeyValueOp(key=f"indexer.task.{index:04d}", value=f"index-{index * 31}:{index}", version=index + 1)
        )
    return digest, delta


def chitchat_message(*, compressed: bool, salt: int) -> bytes:
    """One SynAck. ``salt`` makes it different from the next."""
    digest, delta = items()
    digest[0].heartbeat = salt
    if compressed:
        return bytes(Chitchat(version=1) / ChitchatSynAck(digest=digest, delta=delta))
    stream = b"".join(map(bytes, delta))
    blocks = [Block(type=2, data=stream[at : at + 16384]) for at in range(0, len(stream), 16384)]
    return bytes(Chitchat() / ChitchatSynAck(digest=digest, delta_blocks=[*blocks, Block(type=0)]))


def dns_message(records: int, salt: int) -> bytes:
    """One answer with so many addresses."""
    answers = [
        DNSRR(rrname="a.example", ttl=60, rdata=f"10.0.{index // 250}.{index % 250}") for index in range(records)
    ]
    return bytes(DNS(id=salt & 0xFFFF, qr=1, qd=DNSQR(qname="a.example"), an=answers))


class Subject(NamedTuple):
    """What is measured."""

    name: str
    protocol: str
    capture: Path
    nothing: str
    """A display filter on one field deep in the message, which matches nothing."""
    script: Path = DISSECTOR


def cpu(tshark: Tshark, subject: Subject, *options: str) -> float:
    """Seconds of user and system time of one tshark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script, capture = tshark.path_of(subject.script), tshark.path_of(subject.capture)
    command = [*tshark.command(), "-n", "-X", f"lua_script:{script}", "-r", capture, *options]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fields_per_message(tshark: Tshark, subject: Subject) -> int:
    """Items of the protocol in the tree of one message, branches included."""
    pdml = tshark.run(subject.capture, "-c", "1", "-T", "pdml", script=subject.script)
    return pdml[pdml.index(f'<proto name="{subject.protocol}"') :].count("<field ")


def measure(tshark: Tshark, subject: Subject, rounds: int = 2) -> list[float]:
    """Seconds of a run in each mode: the best of some rounds."""
    modes: list[list[str]] = [["-V"], ["-Y", subject.nothing], []]
    return [min(cpu(tshark, subject, *mode) for _ in range(rounds)) for mode in modes]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tshark", type=Path, help="a folder with a tshark of its own (tests/wireshark/get_tshark.sh)")
    parser.add_argument("--messages", type=int, default=5000)
    given = parser.parse_args()
    tshark = Tshark(given.tshark)
    with tempfile.TemporaryDirectory() as folder:
        report(tshark, Path(folder), given.messages)


def subjects(folder: Path, messages: int) -> Iterator[Subject]:
    """What is measured, DNS first."""
    dns = [dns_message(DNS_RECORDS, salt) for salt in range(messages)]
    yield Subject("dns", "dns", write_capture(folder / "dns.pcap", dns, port=53), "dns.a == 10.0.0.255")
    raw, compressed = (
        write_capture(
            folder / f"chitchat-{compressed}.pcap",
            [chitchat_message(compressed=compressed, salt=salt) for salt in range(messages)],
        )
        for compressed in (False, True)
    )
    yield Subject("fields alone, in Lua", "leaves", raw, "leaves.number == 1", LEAVES)
    deep = 'chitchat.key_value_op.key == "x"'
    yield Subject("chitchat, raw blocks", "chitchat", raw, deep)
    yield Subject("chitchat, compressed", "chitchat", compressed, deep)


def report(tshark: Tshark, folder: Path, messages: int) -> None:
    """Print the tables."""
    found = list(subjects(folder, messages))
    counts = [fields_per_message(tshark, subject) for subject in found]
    whole = [measure(tshark, subject) for subject in found]
    nothing = write_capture(folder / "nothing.pcap", [])
    idle = [measure(tshark, subject._replace(capture=nothing)) for subject in found]
    print(f"{tshark}, {messages} messages; microseconds of CPU per field (ratio to dns)")
    for title, starts in (("whole runs", [[0.0] * 3] * len(found)), ("without the start", idle)):
        costs = [
            [(run - start) / messages / count * 1e6 for run, start in zip(runs, start_of, strict=True)]
            for runs, start_of, count in zip(whole, starts, counts, strict=True)
        ]
        print(f"{title:22}{'fields':>8}{'tree':>18}{'filter':>18}{'no tree':>18}")
        for subject, count, cost in zip(found, counts, costs, strict=True):
            ratios = [mine / theirs for mine, theirs in zip(cost, costs[0], strict=True)]
            cells = "".join(f"{f'{each:.3f} ({ratio:.1f})':>18}" for each, ratio in zip(cost, ratios, strict=True))
            print(f"{subject.name:22}{count:>8}{cells}")


if __name__ == "__main__":
    main()
