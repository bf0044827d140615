# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node would refuse in a message, and what an engineer should see in one that it takes.

The table ``CODES`` is the single list of findings: records, the command line and the Wireshark dissector use its names,
severities and texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import lt
from typing import NamedTuple

from scapy_chitchat.described.conditions import inner
from scapy_chitchat.described.messages import check_codes
from scapy_chitchat.records.addresses import sort_key
from scapy_chitchat.records.base import JsonObject
from scapy_chitchat.records.classes import DeltaItem, Item, KeyValueOp, NodeDigest
from scapy_chitchat.records.codec import DecodeError, decode_whole
from scapy_chitchat.records.makers import Decoded, item_bytes
from scapy_chitchat.records.sections import delta_of, digest_of, sections
from scapy_chitchat.wire import layers
from scapy_chitchat.wire.headers import HEADER_SIZE
from scapy_chitchat.wire.protocol import DIGEST_NEAR_LIMIT, STREAM_LIMIT


class Code(NamedTuple):
    """A kind of finding."""

    severity: str
    """``error``: a node refuses the message; ``warning`` or ``note``: it takes it."""
    text: str
    """What it means for a node, in one sentence: the same for every message, so that findings can be grouped by it."""


CODES: dict[str, Code] = {
    "too-short": Code("error", "Fewer bytes than a header has: a node drops the message."),
    "bad-magic": Code("error", "Not the magic number of chitchat: a node drops the message."),
    "bad-version": Code("error", "A protocol version that no node up to 0.13 knows: it drops the message."),
    "bad-type": Code("error", "A message type that no node knows: it drops the message."),
    "string-short": Code("error", "A string is announced longer than what is left: a node drops the message."),
    "bad-utf8": Code("error", "A string is no UTF-8: a node drops the message."),
    "bad-ip-version": Code("error", "An address of neither IPv4 nor IPv6: a node drops the message."),
    "field-short": Code("error", "The message or the stream ends within a field: a node drops the message."),
    "bad-block-type": Code("error", "A block of a type that no node knows: it drops the message."),
    "block-short": Code("error", "A block is announced longer than what is left: a node drops the message."),
    "bad-zstd": Code("error", "A block cannot be decompressed into 65,535 bytes: a node drops the message."),
    "bad-tag": Code("error", "An operation of a kind that no node knows: it drops the message."),
    "bad-status": Code("error", "A deletion status that no node knows: it drops the message."),
    "no-node": Code("error", "An operation before any Node operation, so of no node: a node drops the message."),
    "duplicate-node": Code("error", "Two sections of the same node in one delta: a node drops the message."),
    "version-order": Code("error", "The versions of a section's key-values do not rise: a node drops the message."),
    "trailing-bytes": Code("warning", "Bytes behind the message: a node ignores them."),
    "duplicate-digest": Code("warning", "A node is twice in the digest: a reader keeps the last entry."),
    "unsorted-digest": Code("note", "The digest is not in ascending order of identities: no node wrote it."),
    "unusual-blocks": Code(
        "note",
        "A node would have cut or compressed the stream otherwise: no node wrote it, or one with another libzstd.",
    ),
    "digest-near-limit": Code(
        "warning",
        "The digest nearly fills a datagram: it is never cut, and one that does not fit cannot be sent at all.",
    ),
    "non-ascii-key": Code(
        "warning", "A key that starts with a non-ASCII character: nodes up to 0.13 panic on it and fall silent."
    ),
    "lowered-max-version": Code(
        "warning",
        "A SetMaxVersion below a version before it in its section: nodes up to 0.13 panic on it and fall silent.",
    ),
    "reset": Code(
        "note",
        "A section from version 0 behind garbage collection: a reader whose copy is older drops it and starts over.",
    ),
    "cut": Code("warning", "The capture holds only part of the datagram (snap length): no verdict about the rest."),
    "stream-limit": Code("warning", "More decompressed data than this tool's limit, so not read on: no verdict."),
}
"""Every finding there is: how severe it is, and what it means for a node."""


check_codes(layers.Chitchat, CODES)


class Finding(NamedTuple):
    """Something to know about a message."""

    code: str
    severity: str
    offset: int
    """The byte it is about: of the message, or of the decompressed bytes of the field that ``stream`` names."""
    text: str
    """What it means for a node: that of the code."""
    stream: str | None = None
    detail: str = ""
    """What is special about this one: values, names, numbers."""

    def as_dict(self) -> JsonObject:
        """The finding as in JSON; ``detail`` and ``stream`` only where there is one."""
        found = {"code": self.code, "severity": self.severity, "offset": self.offset, "text": self.text}
        if self.detail:
            found["detail"] = self.detail
        return {**found, "stream": self.stream} if self.stream else found


def finding(code: str, offset: int, detail: str = "", stream: str | None = None) -> Finding:
    """A finding with the table's severity and text, and what is special about this one."""
    known = CODES[code]
    return Finding(code, known.severity, offset, known.text, stream, detail)


def findings(data: bytes, *, limit: int = STREAM_LIMIT) -> list[Finding]:
    """Everything that there is to know about a message: the first thing that a node refuses, or all it would not tell.

    ``limit`` bounds the decompressed bytes of each stream.
    """
    try:
        decoded = decode_whole(data, limit)
    except DecodeError as error:
        return [refusal(error)]
    return list(remarks(decoded, data))


def refusal(error: DecodeError) -> Finding:
    """The finding of a message that could not be decoded."""
    return finding(error.code, error.offset, error.reason, error.stream)


def remarks(decoded: Decoded, data: bytes) -> Iterator[Finding]:
    """The findings of a message that a node takes."""
    message, end, streams = decoded
    if len(data) > DIGEST_NEAR_LIMIT:
        yield from _size_remark(decoded)
    yield from _digest_remarks(digest_of(message), message.version)
    yield from _delta_remarks(delta_of(message))
    for stream in streams:
        if data[stream.start : stream.end] != stream.field.encode(stream.held):
            yield finding("unusual-blocks", stream.start, f"the blocks of {stream.field.holds}")
    if end < len(data):
        yield finding("trailing-bytes", end, f"bytes: {len(data) - end:,}")


def _size_remark(decoded: Decoded) -> Iterator[Finding]:
    """Only the digest counts: a node fills its deltas up to the limit on purpose."""
    digest = digest_of(decoded.message)
    in_blocks = [stream.end - stream.start for stream in decoded.streams if stream.field.holds == "digest"]
    size = in_blocks[0] if in_blocks else _V0_DIGEST_START - HEADER_SIZE + _size(digest)
    if size > DIGEST_NEAR_LIMIT:
        yield finding("digest-near-limit", HEADER_SIZE, f"{size:,} bytes, entries: {len(digest):,}")


def _digest_remarks(digest: Sequence[NodeDigest], version: int) -> Iterator[Finding]:
    names = [(entry.node_id, entry.generation_id) for entry in digest]
    if all(map(lt, names, names[1:])):
        return
    stream, start = ("digest", 0) if version else (None, _V0_DIGEST_START)
    keys = list(map(sort_key, digest))
    seen = {keys[0]}
    for index, (before, key) in enumerate(pairwise(keys), 1):
        if key in seen:
            at = start + _size(digest[:index])
            yield finding("duplicate-digest", at, f"node {digest[index].node_id!r}", stream)
        elif key < before:
            at = start + _size(digest[:index])
            yield finding("unsorted-digest", at, f"{digest[index].node_id!r} is out of place", stream)
        seen.add(key)


def _delta_remarks(delta: Sequence[DeltaItem]) -> Iterator[Finding]:
    for section in sections(delta):
        node = section.node
        if node.last_gc_version and not node.from_version_excluded:
            detail = f"node {node.node_id!r}, collected up to version {node.last_gc_version}"
            yield finding("reset", _size(delta[: section.place]), detail, "delta")
        highest = 0
        for index, op in enumerate(section.changes, section.place + 1):
            if type(op) is KeyValueOp:
                highest = op.version
                if op.key >= "\x80":
                    yield finding("non-ascii-key", _size(delta[:index]), f"the key is {op.key!r}", "delta")
            else:
                if op.max_version < highest:
                    detail = f"{op.max_version} is set behind {highest}"
                    yield finding("lowered-max-version", _size(delta[:index]), detail, "delta")
                highest = op.max_version


def _size(items: Sequence[Item]) -> int:
    return sum(len(item_bytes(item)) for item in items)


_V0_DIGEST_START = HEADER_SIZE + inner(layers.DIGEST[0]).sz
