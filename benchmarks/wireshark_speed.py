# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Lua dissector costs per field, side by side with Wireshark's own DNS dissector, written in C.

    python benchmarks/wireshark_speed.py [--tshark FOLDER] [--messages N]

Both get messages with a like number of fields, in one run on one machine, so that the ratio means something elsewhere.
What is counted is all of tshark's CPU time, per field of the tree. Chitchat's messages come twice: with raw blocks,
which is the dissector alone, and as nodes compress them, which is zstd as well.

    tree        tshark -V, to nowhere
    filter      a display filter on one field deep in the message, which matches nothing
    no tree     lines of a packet list
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "wireshark"))

from scapy.layers.dns import DNS, DNSQR, DNSRR
from tsharks import DISSECTOR, Tshark, write_capture

from scapy_chitchat.layers import Block, Chitchat, ChitchatSynAck, KeyValueOp, NodeDigest, NodeOp

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


def cpu(tshark: Tshark, capture: Path, *options: str) -> float:
    """Seconds of user and system time of one tshark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*tshark.command(), "-n", "-X", f"lua_script:{tshark.path_of(DISSECTOR)}", "-r", tshark.path_of(capture)]
    subprocess.run([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fields_per_message(tshark: Tshark, capture: Path, protocol: str) -> int:
    """Items of the protocol in the tree of one message, branches included."""
    pdml = tshark.run(capture, "-c", "1", "-T", "pdml")
    return pdml[pdml.index(f'<proto name="{protocol}"') :].count("<field ")


def measure(tshark: Tshark, capture: Path, messages: int, mode: list[str], rounds: int = 2) -> float:
    """Seconds per message: the best of some rounds."""
    return min(cpu(tshark, capture, *mode) for _ in range(rounds)) / messages


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tshark", type=Path, help="a folder with a tshark of its own (tests/wireshark/get_tshark.sh)")
    parser.add_argument("--messages", type=int, default=5000)
    given = parser.parse_args()
    tshark = Tshark(given.tshark)
    with tempfile.TemporaryDirectory() as folder:
        report(tshark, Path(folder), given.messages)


def report(tshark: Tshark, folder: Path, messages: int) -> None:
    """Print the table."""
    captures = {}
    for compressed in (False, True):
        name = "chitchat, compressed" if compressed else "chitchat, raw blocks"
        data = [chitchat_message(compressed=compressed, salt=salt) for salt in range(messages)]
        captures[name] = (
            "chitchat",
            write_capture(folder / f"chitchat-{compressed}.pcap", data),
            "chitchat.key_value_op.key",
        )
    data = [dns_message(DNS_RECORDS, salt) for salt in range(messages)]
    captures["dns"] = ("dns", write_capture(folder / "dns.pcap", data, port=53), "dns.a")
    modes = {"tree": ["-V"], "filter": ["-Y"], "no tree": []}
    print(f"{tshark}, {messages} messages; microseconds of CPU per field (ratio to dns)")
    print(f"{'':22}{'fields':>8}" + "".join(f"{mode:>18}" for mode in modes))
    costs: dict[str, list[float]] = {}
    for name, (protocol, capture, deep_field) in reversed(captures.items()):
        count = fields_per_message(tshark, capture, protocol)
        costs[name] = []
        for mode, options in modes.items():
            more = (
                [f"{deep_field} == {'10.0.0.255' if protocol == 'dns' else chr(34) + 'x' + chr(34)}"]
                if mode == "filter"
                else []
            )
            costs[name].append(measure(tshark, capture, messages, [*options, *more]) / count * 1e6)
        ratios = [mine / theirs for mine, theirs in zip(costs[name], costs["dns"], strict=True)]
        cells = "".join(f"{f'{cost:.3f} ({ratio:.1f})':>18}" for cost, ratio in zip(costs[name], ratios, strict=True))
        print(f"{name:22}{count:>8}{cells}")


if __name__ == "__main__":
    main()
