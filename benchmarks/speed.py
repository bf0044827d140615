# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast messages are read and written, next to what else could read them: one run, one table.

    python -m benchmarks.speed [--captures FOLDER]

Beside ours: a naive ``struct`` loop that only splits the bytes (the floor for Python), Scapy's own DNS records, tshark
on the same capture without our dissector, and, where cargo or a built tests/peer is present, the chitchat crate's own
decoder. Times are the best of several runs in microseconds; compare within one run only.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import timeit
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from scapy.layers.dns import DNS, DNSRR

from scapy_chitchat import Chitchat, ChitchatSyn, NodeDigest, decode, encode, read_messages
from scapy_chitchat.wire.stream import decompress_block
from tests.support.peers import NoPeer, peer_program

ROOT = Path(__file__).parent.parent
SEVEN = ("node_id", "generation_id", "ip", "port", "heartbeat", "last_gc_version", "max_version")


def best(work: Callable[[], object], per: int, seconds: float = 0.6) -> float:
    """Microseconds per piece of ``work``, which does ``per`` of them: the best of repeated runs."""
    once = max(timeit.timeit(work, number=1), 1e-6)
    number = max(1, int(seconds / 6 / once))
    return min(timeit.repeat(work, number=number, repeat=6)) / number / per * 1e6


def syn(entries: int) -> bytes:
    """A Syn whose digest has this many entries, no two of them of one node or address."""
    digest = [
        NodeDigest(
            node_id=f"node-{index:05}",
            generation_id=1_795_501_249_806_131_800 + index,
            ip=f"10.0.{index >> 8}.{index & 255}",
            heartbeat=index + 5,
            max_version=index + 100,
        )
        for index in range(entries)
    ]
    return bytes(Chitchat() / ChitchatSyn(cluster_id="prod", digest=digest))


def struct_floor(data: bytes) -> list[tuple[object, ...]]:
    """Split a V0 digest into tuples: no text, no checks."""
    count, position, entries = struct.unpack_from("<H", data, 4)[0], 6, []
    for _ in range(count):
        (size,) = struct.unpack_from("<H", data, position)
        position += 2 + size
        entries.append((data[position - size : position], *struct.unpack_from("<QB4sHQQQ", data, position)))
        position += 39
    return entries


def dns_answer() -> bytes:
    """A DNS answer with 10 records."""
    records = [DNSRR(rrname=f"host-{index}.example.", rdata=f"10.0.0.{index}", ttl=60) for index in range(10)]
    return bytes(DNS(qr=1, qd=[], an=records))


def read_seven(data: bytes) -> None:
    """Dissect, and read all values of every entry."""
    for entry in Chitchat(data).payload.digest:
        for name in SEVEN:
            getattr(entry, name)


def read_dns(data: bytes) -> None:
    """The same for DNS."""
    for record in DNS(data).an:
        for name in ("rrname", "type", "rclass", "ttl", "rdlen", "rdata"):
            getattr(record, name)


def crate_microseconds(messages: list[bytes]) -> float | None:
    """What chitchat 0.11's public decoder takes for each of these V0 messages."""
    try:
        program = peer_program()
    except NoPeer:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".hex") as file:
        file.write("".join(f"{message.hex()}\n" for message in messages))
        file.flush()
        done = subprocess.run([str(program), "bench", file.name], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["microseconds_per_message"]["min"])


def captured(path: Path) -> list[bytes]:
    return [each.data for each in read_messages(path)]


class Rows:
    """The table, row by row."""

    def __init__(self) -> None:
        self.table = Table(box=box.SIMPLE_HEAD)
        self.table.add_column("what")
        self.table.add_column("µs", justify="right")
        self.table.add_column("ratio", justify="right")
        self.table.add_column("is")

    def section(self, title: str) -> None:
        self.table.add_section()
        self.table.add_row(f"[bold]{title}[/]")

    def add(self, what: str, microseconds: float | None, ratio: float | None = None, meaning: str = "") -> None:
        shown = "-" if microseconds is None else f"{microseconds:,.2f}"
        self.table.add_row(what, shown, "" if ratio is None else f"{ratio:.2f}", meaning)


def digest_entries(rows: Rows) -> None:
    data, dns = syn(1000), dns_answer()
    rows.section("a digest entry (of 1,000 in one Syn, V0)")
    floor = best(lambda: struct_floor(data), 1000)
    crate = crate_microseconds([data])
    crate = crate / 1000 if crate else None
    records = best(lambda: decode(data), 1000)
    layers, seven = best(lambda: Chitchat(data), 1000), best(lambda: read_seven(data), 1000)
    dns_record, dns_values = best(lambda: DNS(dns).an, 10), best(lambda: read_dns(dns), 10)
    rows.add("struct loop, no text, no checks", floor)
    rows.add("chitchat 0.11's decoder", crate)
    rows.add(
        "records: decode",
        records,
        records / crate if crate else records / floor,
        "times crate" if crate else "times struct",
    )
    rows.add("layers: dissected", layers, layers / dns_record, "times DNS record")
    rows.add("layers: dissected, seven values read", seven, seven / dns_values, "times DNS record, values read")
    rows.add("Scapy's DNS: a record of 10", dns_record)
    rows.add("Scapy's DNS: a record of 10, values read", dns_values)


def linearity(rows: Rows) -> None:
    rows.section("a digest entry, by entries in the message (layers)")
    for entries in (10, 100, 500, 1500):
        data = syn(entries)
        rows.add(f"{entries:,} entries", best(partial(Chitchat, data), entries))
    digest = [NodeDigest(node_id=f"{index:x}", port=index, heartbeat=index) for index in range(1900)]
    full = bytes(Chitchat(version=1) / ChitchatSyn(digest=digest))
    gc.collect()
    tracemalloc.start()
    kept = Chitchat(full)
    rows.add(
        f"memory kept by {len(kept.payload.digest):,} entries ({len(full):,} bytes), MB",
        tracemalloc.get_traced_memory()[0] / 1e6,
    )
    tracemalloc.stop()


def messages_of(path: Path, rows: Rows, title: str, keep: Callable[[bytes], bool]) -> None:
    messages = [data for data in captured(path) if keep(data)]
    count = len(messages)
    size = sum(map(len, messages)) / count
    rows.section(f"{title}: {count:,} of {path.name}, mean {size:,.0f} bytes")
    crate = crate_microseconds(messages)
    decoded = [decode(data) for data in messages]
    reading = best(lambda: [decode(data) for data in messages], count)
    rows.add("chitchat 0.11's decoder", crate)
    rows.add("records: decode", reading, reading / crate if crate else None, "times crate" if crate else "")
    rows.add("records: encode", best(lambda: [encode(message) for message in decoded], count))
    rows.add("layers: dissected", best(lambda: [Chitchat(data) for data in messages], count))
    held = sum(map(held_bytes, messages)) / count
    rows.add("records: decompressed MB/s", held / reading, None, f"{held:,.0f} bytes each")


def held_bytes(data: bytes) -> int:
    """The bytes of the delta's stream when decompressed."""
    body = Chitchat(data).payload
    blocks = getattr(body, "delta_blocks", None) or []
    return sum(
        len(decompress_block(block.data)) if block.type == 1 else len(block.data) for block in blocks if block.type
    )


def whole_capture(path: Path, rows: Rows) -> None:
    count = len(captured(path))
    rows.section(f"a message of {path.name} ({count:,} messages)")
    ours = best(lambda: [each.message for each in read_messages(path)], count)
    rows.add("read_messages, each decoded", ours, 1e6 / ours, "messages a second")
    undecoded = best(lambda: [each.data for each in read_messages(path)], count)
    rows.add("read_messages, bytes alone", undecoded, 1e6 / undecoded, "messages a second")
    times = 60_000 // count + 1
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.pcap"
        repeat_capture(path, large, times)
        json_lines = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()", "read", "--json", str(large)]
        as_json = best(lambda: run(json_lines), count * times)
        rows.add("read --json, the whole process", as_json, 1e6 / as_json, "messages a second")
        if shutil.which("tshark"):
            shark = best(
                lambda: run(["tshark", "-n", "-r", str(large), "-T", "fields", "-e", "udp.payload"]), count * times
            )
            rows.add("tshark, UDP payload only", shark, as_json / shark, "read --json, times tshark")


def run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def repeat_capture(path: Path, target: Path, times: int) -> None:
    """The frames of a classic capture, ``times`` over."""
    data = path.read_bytes()
    with target.open("wb") as out:
        out.write(data[:24])
        for _ in range(times):
            out.write(data[24:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=Path, default=ROOT / "pcaps", help="where the captures are")
    captures = parser.parse_args().captures
    rows = Rows()
    digest_entries(rows)
    linearity(rows)
    named = {path.name.partition(".")[0]: path for path in sorted(captures.glob("v*.pcap*"))}
    messages_of(named["v0-gc-resets"], rows, "a typical small message", lambda data: 100 <= len(data) < 260)
    messages_of(named["v0-large-fragmented"], rows, "a large message", lambda data: len(data) > 60_000)
    for name in ("v0-three-nodes", "v1-five-nodes"):
        whole_capture(named[name], rows)
    cpu = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("scapy", "zstandard", "msgspec", "scapy-chitchat"))
    console = Console(width=120)
    console.print(f"{cpu}; {platform.python_implementation()} {platform.python_version()}; {versions}")
    console.print(rows.table)


if __name__ == "__main__":
    main()
