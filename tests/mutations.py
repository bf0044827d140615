# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile messages, made from real ones: a seeded generator, and a command that runs many of them.

    python -m tests.mutations --count 1000000 --seed 1

Each input goes through decode, findings and the Scapy layers. Nothing but a DecodeError may be raised, nothing may take
a second or 200 MB, and wherever decode gives values the layers must show the same ones.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import zstandard
from scapy.packet import Packet

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    DecodeError,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    UnbuildableError,
    decode,
    findings,
    read_messages,
)
from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.lists import BlocksField, items_bytes
from tests.support import PCAPS

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**16 - 1, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
LENGTHS = (0, 1, 2, 3, 127, 255, 256, 16383, 16384, 16385, 32767, 32768, 65534, 65535)
TEXTS = ("", "a", "é", "日本", "\0", "\x7f", "k" * 300, "\U0010ffff", "node-0", "x" * 20000)
ADDRESSES = ("0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "::1", "ff02::1", "::ffff:1.2.3.4", "::1.2.3.4")


def corpus() -> list[bytes]:
    """Small messages of every kind, hand-made and captured."""
    entries = [NodeDigest(node_id=f"n{i}", ip=ip, heartbeat=i) for i, ip in enumerate(ADDRESSES[:5])]
    delta = [
        NodeOp(node_id="n1", ip="::1", last_gc_version=2),
        KeyValueOp(key="k", value="v", version=3),
        KeyValueOp(key="kk", value="", version=5, status="Delete"),
        NodeOp(node_id="n2", from_version_excluded=9),
        SetMaxVersionOp(max_version=12),
    ]
    made = [
        bytes(Chitchat(version=version) / body)
        for version in (0, 1)
        for body in (
            ChitchatSyn(cluster_id="prod", digest=entries),
            ChitchatSynAck(digest=entries[:2], delta=delta),
            ChitchatAck(delta=delta),
            ChitchatBadCluster(),
        )
    ]
    for path in sorted(PCAPS.glob("*.pcap*")):
        small = [each.data for each in read_messages(path) if len(each.data) < 2000]
        made += random.Random(0).sample(small, 40)
    return made


class Mutator:
    """Makes one hostile message after another; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self.corpus = corpus()
        self.strategies: list[Callable[[bytes], bytes]] = [
            self.some_bytes,
            self.a_length,
            self.cut_or_grow,
            self.a_field,
            self.the_items,
            self.the_stream,
            self.the_blocks,
            self.the_frames,
        ]

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        while True:
            strategy = self.choice.choice(self.strategies)
            data = strategy(self.choice.choice(self.corpus))
            if self.choice.random() < 0.2:
                data = self.choice.choice(self.strategies[:3])(data)
            yield strategy.__name__, data

    def some_bytes(self, data: bytes) -> bytes:
        """A few bytes changed."""
        out = bytearray(data)
        for _ in range(self.choice.randrange(1, 4)):
            place = self.choice.randrange(len(out)) if out else 0
            out[place : place + 1] = bytes([self.choice.choice((0, 1, 2, 3, 4, 6, 255, self.choice.randrange(256)))])
        return bytes(out)

    def a_length(self, data: bytes) -> bytes:
        """Two neighbours overwritten, as if they were a length or a count."""
        place = self.choice.randrange(max(1, len(data) - 1))
        return data[:place] + struct.pack("<H", self.choice.choice(LENGTHS)) + data[place + 2 :]

    def cut_or_grow(self, data: bytes) -> bytes:
        """Cut short, or with more behind."""
        if self.choice.random() < 0.7:
            return data[: self.choice.randrange(len(data) + 1)]
        return data + self.choice.randbytes(self.choice.randrange(1, 30))

    def a_field(self, data: bytes) -> bytes:
        """One value of the message changed, and all built again."""
        pkt = Chitchat(data)
        layers = [pkt, pkt.payload]
        for name in ("digest", "delta", "digest_blocks", "delta_blocks"):
            layers += getattr(pkt.payload, name, None) or []
        layer = self.choice.choice(layers)
        if not layer.fields_desc:
            return data
        name = self.choice.choice(layer.fields_desc).name
        layer.setfieldval(name, self._value(layer.getfieldval(name)))
        return self._built(pkt, data)

    def _value(self, now: Any) -> Any:
        if isinstance(now, bool | int):
            return self.choice.choice((*NUMBERS, now + 1, max(now - 1, 0)))
        if isinstance(now, str) and now.replace(".", "").replace(":", "").isalnum() and ("." in now or ":" in now):
            return self.choice.choice(ADDRESSES)
        if isinstance(now, str):
            return self.choice.choice((*TEXTS, "\udcff", now + now))
        if isinstance(now, bytes):
            return self.choice.choice((b"", now * 2, now[:-1], self.choice.randbytes(20)))
        return now

    def _built(self, pkt: Packet, otherwise: bytes) -> bytes:
        try:
            return bytes(pkt)
        except UnbuildableError:
            return otherwise

    def the_items(self, data: bytes) -> bytes:
        """Items doubled, dropped, exchanged."""
        pkt = Chitchat(data)
        lists = [items for name in ("digest", "delta") if (items := getattr(pkt.payload, name, None))]
        if not lists:
            return data
        items = self.choice.choice(lists)
        one, other = self.choice.randrange(len(items)), self.choice.randrange(len(items))
        change = self.choice.randrange(3)
        if change == 0:
            items.insert(other, items[one])
        elif change == 1:
            del items[one]
        else:
            items[one], items[other] = items[other], items[one]
        return self._built(pkt, data)

    def _blocks_field(self, pkt: Packet) -> tuple[BlocksField, bytes] | None:
        """A field of blocks of this message, and the stream that it holds."""
        fields = [inner(field) for field in pkt.payload.fields_desc]
        names = [f for f in fields if isinstance(f, BlocksField) and pkt.payload.getfieldval(f.name)]
        if not names:
            return None
        field = self.choice.choice(names)
        return field, items_bytes(getattr(pkt.payload, field.holds))

    def the_stream(self, data: bytes) -> bytes:
        """Bytes of a decompressed stream changed, and packed again as a node would."""
        pkt = Chitchat(data)
        found = self._blocks_field(pkt)
        if found is None:
            return data
        field, stream = found
        changed = self.choice.choice((self.some_bytes, self.a_length, self.cut_or_grow))(stream or b"\0")
        pkt.payload.setfieldval(field.name, field.make(changed))
        return bytes(pkt)

    def the_blocks(self, data: bytes) -> bytes:
        """The same stream, cut otherwise and packed at random; sometimes a block that is wrong."""
        pkt = Chitchat(data)
        found = self._blocks_field(pkt)
        if found is None:
            return data
        field, stream = found
        blocks = []
        while stream:
            size = self.choice.choice((1, 2, 7, 40, 300, 20000))
            piece, stream = stream[:size], stream[size:]
            packed = self.choice.random() < 0.5
            blocks.append(Block(type=1, data=zstandard.compress(piece)) if packed else Block(type=2, data=piece))
        if self.choice.random() < 0.3:
            wrong = Block(type=self.choice.choice((0, 1, 2, 3, 255)), data=self.choice.randbytes(5))
            blocks.insert(self.choice.randrange(len(blocks) + 1), wrong)
        pkt.payload.setfieldval(field.name, [*blocks, Block(type=0)] if self.choice.random() < 0.95 else blocks)
        return self._built(pkt, data)

    def the_frames(self, data: bytes) -> bytes:
        """The same stream, in zstd frames as no node writes them; sometimes a bomb."""
        pkt = Chitchat(data)
        found = self._blocks_field(pkt)
        if found is None:
            return data
        field, stream = found
        kind = self.choice.randrange(8)
        compress = zstandard.ZstdCompressor(
            level=self.choice.choice((-5, 1, 3, 19)),
            write_checksum=kind == 0,
            write_content_size=kind != 1,
        ).compress
        half = len(stream) // 2
        frames = compress(stream)
        if kind == 2:
            frames = compress(stream[:half]) + compress(stream[half:])
        elif kind == 3:
            skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
            frames = skippable + frames + skippable
        elif kind == 4:
            frames = self.some_bytes(frames)
        elif kind == 5:
            frames = frames[: self.choice.randrange(len(frames) + 1)]
        elif kind == 6:
            frames = b"\x28\xb5\x2f\xfd\x00" + self.choice.randbytes(1) + b"\x01\x00\x00" + frames
        blocks = [Block(type=1, data=frames)]
        if kind == 7:
            unit = self.choice.choice((b"\0" * 9, bytes(SetMaxVersionOp(max_version=7)), bytes(KeyValueOp(version=7))))
            bomb = Block(type=1, data=compress(unit * (65535 // len(unit))))
            blocks += [bomb] * self.choice.choice((1, 3, 20, *([60000 // len(bomb)] * (self.choice.random() < 0.02))))
        pkt.payload.setfieldval(field.name, [*blocks, Block(type=0)])
        return self._built(pkt, data)


def check(data: bytes) -> str:
    """Run one input. Gives the outcome; raises AssertionError where records and layers disagree."""
    started = time.process_time()
    found = findings(data)
    pkt = Chitchat(data)
    if data:
        assert bytes(pkt) == data, "the layers do not build what they dissected"
    message, outcome = outcome_of(data)
    if message is None:
        assert [each.code for each in found] == [outcome]
    else:
        assert not any(each.severity == "error" for each in found)
        compare(message, pkt)
    assert time.process_time() - started < 10, "took more than ten seconds of CPU time"
    return outcome


def outcome_of(data: bytes) -> tuple[Any, str]:
    """The message and ``taken``, or None and the code of the refusal."""
    try:
        return decode(data), "taken"
    except DecodeError as error:
        return None, error.code


def compare(message: Any, pkt: Packet) -> None:
    """The record of a message and its packet must say the same."""
    assert (message.version, message.type) == (pkt.version, pkt.get_field("type").i2repr(pkt, pkt.type))
    body = pkt.payload
    if hasattr(message, "cluster_id"):
        assert message.cluster_id == body.cluster_id
    for name in ("digest", "delta"):
        records = getattr(message, name, ())
        packets = body.getfieldval(name) if records else ()
        if body.trouble and body.trouble.code == "stream-limit":
            continue  # the layers stop earlier: a packet takes many times the memory of a record
        assert len(records) == len(packets)
        for record, packet in zip(records, packets, strict=True):
            compare_item(record, packet)


def compare_item(record: Any, packet: Packet) -> None:
    """A record of an item and its packet must say the same."""
    carried = {"node_id", "generation_id"} - set(packet.fieldtype)
    for name in set(record.__struct_fields__) - carried:
        value = getattr(record, name)
        if name == "gossip_advertise_addr":
            shown = f"[{packet.ip}]:{packet.port}" if ":" in packet.ip else f"{packet.ip}:{packet.port}"
        elif name == "status":
            shown = packet.get_field("status").i2repr(packet, packet.status)
        else:
            shown = packet.getfieldval(name)
        assert value == shown, name


def run(count: int, seed: int, *, show: bool = False) -> Counter[tuple[str, str]]:
    """Check ``count`` inputs. Gives how often each strategy had each outcome."""
    outcomes: Counter[tuple[str, str]] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index, (strategy, data) in enumerate(Mutator(seed)):
        if index == count:
            break
        try:
            outcomes[strategy, check(data)] += 1
        except Exception:
            print(f"seed {seed}, input {index}, {strategy}: {data.hex()}", file=sys.stderr)
            raise
        if show and index % 10_000 == 0:
            print(f"\r{index:,} ", end="", file=sys.stderr, flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200, f"memory grew by {grown:.0f} MB"
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.perf_counter()
    outcomes = run(options.count, options.seed, show=True)
    seconds = time.perf_counter() - started
    print(f"\rseed {options.seed}: {options.count:,} inputs in {seconds:.0f} s, no disagreement")
    for strategy in sorted({name for name, _ in outcomes}):
        of_this = {outcome: n for (name, outcome), n in outcomes.items() if name == strategy}
        total, taken = sum(of_this.values()), of_this.pop("taken", 0)
        worst = ", ".join(f"{outcome} {n:,}" for outcome, n in Counter(of_this).most_common(5))
        print(f"  {strategy:<12} {total:>9,}  taken {taken / total:5.0%}  {worst}")


if __name__ == "__main__":
    main()
