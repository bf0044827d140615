# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages rewritten, so that a node elsewhere takes them.

A message is decoded to a record, the record is changed, and the record is encoded as a node would: blocks, lengths and
counts follow by themselves. A message in which nothing changes keeps its very bytes.

``fill_gaps`` is for captures that begin in the middle of a cluster's life. Their deltas start behind versions that a
fresh node never saw, and it ignores them (docs/nodes.md, "What a reader does with a section"). So what the reader holds
is followed here by the reader's own rules, and a section that it would ignore is made to start where the reader stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from msgspec import structs

from scapy_chitchat.net.addresses import address_bytes, address_text, join_address, split_address
from scapy_chitchat.records.addresses import sort_key
from scapy_chitchat.records.classes import DeltaItem, Message, NodeDigest, NodeOp
from scapy_chitchat.records.codec import encode
from scapy_chitchat.records.identity import ChitchatId, id_of
from scapy_chitchat.records.sections import Section, identified, joined, sections
from scapy_chitchat.wire.protocol import MAX_DATAGRAM, MAX_U64


class RewriteError(ValueError):
    """The rewritten message cannot be sent, or no node would take it; the message is one line."""


class LoopbackAddresses:
    """An address of 127.0.0.0/8 for each IP address that is not a loopback address yet: another for another one.

    They are given in the order of asking, 127.1.0.1 first, so the same messages in the same order get the same ones.
    An IPv6 address gets one, too: of ::1 there is only one. Ports stay.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """``taken``: IP addresses that are not to be given, such as that of the node which hears of the others."""
        self._taken = set(taken)
        self._given: dict[str, str] = {}
        self._next = int(ip_address("127.1.0.1"))

    def instead_of(self, address: str) -> str:
        """The socket address that stands for this one."""
        ip, port = split_address(address)
        if ip not in self._given:
            is_free = ip_address(ip).is_loopback and ip not in self._given.values()
            self._given[ip] = ip if is_free else self._new()
            self._taken.add(self._given[ip])
        return join_address(self._given[ip], port or 0)

    def _new(self) -> str:
        while (new := str(ip_address(self._next))) in self._taken:
            self._next += 1
        return new


@dataclass(frozen=True)
class Rewriting:
    """What to change in messages."""

    cluster_id: str | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    """New node_ids by the old ones."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """New gossip addresses by the old ones: each an address, or an address and a port."""
    new_generation: bool = False
    """Whether nodes get generations as if they had been started now."""
    heartbeat_offset: int = 0
    version: int | None = None
    fill_gaps: bool = False
    loopback: LoopbackAddresses | None = None
    """What gives loopback addresses to all that ``addresses`` does not map."""

    def address(self, old: str) -> str:
        """What stands for a socket address, an address with a port."""
        new = map_address(old, self.addresses)
        return self.loopback.instead_of(old) if self.loopback and new == old else new

    def __bool__(self) -> bool:
        return self != UNCHANGED


UNCHANGED = Rewriting()
"""Messages as they are."""


# --- addresses ---


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """``OLD=NEW`` texts as a mapping. Raises ValueError where one is something else, or OLD is there twice."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (equals and old):
            raise ValueError(f"{pair!r} is not OLD=NEW")
        if old in mapping:
            raise ValueError(f"{old!r} is mapped twice")
        mapping[old] = new
    return mapping


def parse_address_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """``OLD=NEW`` texts of addresses, with or without ports, in the form in which records have them."""
    return {canonical_address(old): canonical_address(new) for old, new in parse_mapping(pairs).items()}


def canonical_address(text: str) -> str:
    """``10.0.0.1``, ``10.0.0.1:7280``, ``::1`` or ``[::1]:7280`` as records write it. Raises ValueError."""
    ip, port = split_address(text)
    try:
        ip = address_text(address_bytes(ip))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address, or one with a port") from None
    return ip if port is None else join_address(ip, port)


def map_address(address: str, mapping: Mapping[str, str]) -> str:
    """``address``, which has a port, as ``mapping`` has it: an entry with the port goes before one without."""
    if not mapping:
        return address
    ip, port = split_address(address)
    new = mapping.get(address) or mapping.get(ip)
    if new is None:
        return address
    new_ip, new_port = split_address(new)
    return join_address(new_ip, port or 0 if new_port is None else new_port)


# --- generations ---


def generation_now(like: int) -> int:
    """The time now in the unit of a generation_id: Quickwit counts nanoseconds, chitchat's test server seconds."""
    now = time.time_ns()
    for per_second, least in ((10**9, 10**17), (10**6, 10**14), (10**3, 10**11)):
        if like >= least:
            return now * per_second // 10**9
    return now // 10**9


# --- what a reader holds ---


class Reader:
    """What a node that hears all these messages holds of others: how far, by node."""

    def __init__(self) -> None:
        self._held: dict[ChitchatId, tuple[int, int]] = {}

    def hears(self, digest: Iterable[NodeDigest]) -> None:
        """A digest: the node knows these nodes from now on, and takes sections about them."""
        for entry in digest:
            self._held.setdefault(id_of(entry), (0, 0))

    def reads(self, node: NodeOp, reached: int) -> NodeOp:
        """A section of a delta, up to version ``reached``; gives its Node operation, so changed that it is taken."""
        held = self._held.get(id_of(node))
        if held is None:
            return node
        last_gc_version, max_version = held
        collected = node.last_gc_version
        resets = collected > last_gc_version and collected > max_version
        if node.from_version_excluded > max_version or (resets and node.from_version_excluded):
            node = structs.replace(node, from_version_excluded=0 if resets else max_version)
        if resets:
            self._held[id_of(node)] = (collected, reached)
        elif reached > max_version:
            self._held[id_of(node)] = (last_gc_version, reached)
        return node


# --- messages ---


class Rewriter:
    """Rewrites one message after another. What it remembers between them is for new generations and filled gaps."""

    def __init__(self, wish: Rewriting) -> None:
        self.wish = wish
        self._heartbeat_offset = wish.heartbeat_offset
        self._shift: int | None = None
        self._started = 0
        self._reader = Reader() if wish.fill_gaps else None
        self._new_ids: dict[ChitchatId, ChitchatId] = {}
        self.unused = {*wish.nodes, *wish.addresses}
        """What was to be renamed and has not been met."""
        self._renames = bool(wish.nodes or wish.addresses or wish.loopback or wish.new_generation)

    def next_pass(self) -> None:
        """The same messages come once more: heartbeats rise again, and generations if they are new ones."""
        self._heartbeat_offset += self.wish.heartbeat_offset
        self._new_ids.clear()
        if self._shift is not None:
            self._started, self._shift = self._shift, None

    def bytes_of(self, message: Message, data: bytes) -> bytes:
        """The bytes to send instead of ``data``, from which ``message`` was decoded.

        Raises RewriteError where the message cannot be written, or where no node would take it any more.
        """
        rewritten = self.rewrite(message)
        if rewritten is message:
            return data
        try:
            encoded = encode(rewritten)
        except ValueError as error:
            raise RewriteError(str(error)) from None
        if len(encoded) > MAX_DATAGRAM:
            raise RewriteError("too large for a datagram once rewritten")
        return encoded

    def rewrite(self, message: Message) -> Message:
        """The message as it is wished, or itself where nothing changes."""
        wish = self.wish
        changes: dict[str, object] = {}
        if wish.version is not None:
            changes["version"] = wish.version
        if wish.cluster_id is not None and hasattr(message, "cluster_id"):
            changes["cluster_id"] = wish.cluster_id
        if hasattr(message, "digest"):
            changes["digest"] = self._digest(message.digest)
        if hasattr(message, "delta"):
            changes["delta"] = self._delta(message.delta)
        changed = {name: value for name, value in changes.items() if value != getattr(message, name)}
        return structs.replace(message, **changed) if changed else message

    def _digest(self, digest: tuple[NodeDigest, ...]) -> tuple[NodeDigest, ...]:
        if self._renames or self._heartbeat_offset:
            digest = tuple(map(self._entry, digest))
        if self._renames:
            digest = tuple(sorted(digest, key=sort_key))
        if self._reader:
            self._reader.hears(digest)
        return digest

    def _entry(self, entry: NodeDigest) -> NodeDigest:
        entry = identified(entry, self.new_id(id_of(entry)))
        if not self._heartbeat_offset:
            return entry
        return structs.replace(entry, heartbeat=min(max(entry.heartbeat + self._heartbeat_offset, 0), MAX_U64))

    def _delta(self, delta: tuple[DeltaItem, ...]) -> tuple[DeltaItem, ...]:
        if not (self._renames or self._reader):
            return delta
        renamed = [section.about(self.new_id(id_of(section.node))) for section in sections(delta)]
        _check_that_all_differ(renamed)
        if self._reader:
            renamed = [structs.replace(each, node=self._reader.reads(each.node, each.reached)) for each in renamed]
        return joined(renamed)

    def new_id(self, old: ChitchatId) -> ChitchatId:
        """Which node is to stand for another one."""
        if not self._renames:
            return old
        new = self._new_ids.get(old)
        if new is None:
            self.unused -= {old.node_id, old.gossip_advertise_addr, split_address(old.gossip_advertise_addr)[0]}
            new = self._new_ids[old] = ChitchatId(
                self.wish.nodes.get(old.node_id, old.node_id),
                self._generation(old.generation_id),
                self.wish.address(old.gossip_advertise_addr),
            )
        return new

    def _generation(self, generation_id: int) -> int:
        """All generations are moved by the same amount, so that a restarted node is still the later one."""
        if not self.wish.new_generation:
            return generation_id
        if self._shift is None:
            self._shift = max(generation_now(generation_id) - generation_id, self._started + 1)
        return min(max(generation_id + self._shift, 0), MAX_U64)


def _check_that_all_differ(delta: Iterable[Section]) -> None:
    met: set[ChitchatId] = set()
    for section in delta:
        node = id_of(section.node)
        if node in met:
            raise RewriteError(f"two nodes of one delta became node {node.node_id!r}: map them to different ones")
        met.add(node)
