# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the text that the crate's ``{:?}`` makes of a message, to compare what a real node read with what we read.

A digest is a map to a node and a delta is grouped by node, so ``as_a_node_keeps_it`` brings a message of ours into the
same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

Identity = tuple[str, int, str, int]
"""node_id, generation_id, IP address, port."""

_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_STRING = r'"((?:[^"\\]|\\.)*)"'
_IDENTITY = (
    r"(.*?):(\d+):((?:\d+\.){3}\d+|\[[0-9a-f:.]+\]):(\d+)"  # a node_id is written as it is, so the shortest fits
)
_ENVELOPE = re.compile(r"ChitchatEnvelope \{ version: V(\d+), message: (\w+)")
_CLUSTER = re.compile(rf" \{{ cluster_id: {_STRING}, digest: ")
_DIGEST = re.compile(r"(?: \{ digest: )?Digest \{ node_digests: \{")
_ENTRY = re.compile(
    rf"(?:, )?{_IDENTITY}: NodeDigest \{{ heartbeat: Heartbeat\((\d+)\), "
    r"last_gc_version: (\d+), max_version: (\d+) \}",
    re.DOTALL,
)
_DELTA = re.compile(r"(?:, | \{ )delta: Delta \{ node_deltas: \[")
_NODE = re.compile(
    rf"(?:, )?NodeDelta \{{ chitchat_id: {_IDENTITY}, from_version_excluded: (\d+), last_gc_version: (\d+), "
    r"key_values: \[",
    re.DOTALL,
)
_KEY_VALUE = re.compile(
    rf"(?:, )?KeyValueMutation \{{ key: {_STRING}, value: {_STRING}, version: (\d+), status: (\w+) \}}", re.DOTALL
)
_NODE_END = re.compile(r"\], max_version: (\d+) \}")
_DELTA_END = re.compile(r"\], serialized_len: \d+ \}")


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0

    def try_take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.pos)
        if found:
            self.pos = found.end()
        return found

    def take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = self.try_take(pattern)
        if not found:
            raise ValueError(f"not {pattern.pattern!r}: {self.text[self.pos : self.pos + 60]!r}")
        return found


def _string(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), text)


def _identity(node_id: str, generation_id: str, ip: str, port: str) -> Identity:
    return node_id, int(generation_id), str(ip_address(ip.strip("[]"))), int(port)


def parse(debug: str) -> dict[str, Any]:
    """A message as a node keeps it: version, type and, as the type has them, cluster_id, digest and delta.

    ``digest`` maps an identity to heartbeat, last_gc_version and max_version. ``delta`` maps an identity to
    last_gc_version, from_version_excluded, max_version and a list of (key, value, version, status).
    Raises ValueError for other text.
    """
    text = _Text(debug)
    version, kind = text.take(_ENVELOPE).groups()
    message: dict[str, Any] = {"version": int(version), "type": kind}
    if kind == "Syn":
        message["cluster_id"] = _string(text.take(_CLUSTER)[1])
    if kind in ("Syn", "SynAck"):
        text.take(_DIGEST)
        message["digest"] = digest = {}
        while entry := text.try_take(_ENTRY):
            *identity, heartbeat, last_gc_version, max_version = entry.groups()
            digest[_identity(*identity)] = (int(heartbeat), int(last_gc_version), int(max_version))
        text.take(re.compile(r"\} \}"))
    if kind in ("SynAck", "Ack"):
        text.take(_DELTA)
        message["delta"] = delta = {}
        while node := text.try_take(_NODE):
            *identity, excluded, last_gc_version = node.groups()
            key_values = []
            while pair := text.try_take(_KEY_VALUE):
                key_values.append((_string(pair[1]), _string(pair[2]), int(pair[3]), pair[4]))
            max_version = text.take(_NODE_END)[1]
            delta[_identity(*identity)] = (int(last_gc_version), int(excluded), int(max_version), key_values)
        text.take(_DELTA_END)
    text.take(re.compile(r"( \})+$|$"))
    return message


def _identity_of(item: Mapping[str, Any]) -> Identity:
    ip, _, port = item["gossip_advertise_addr"].rpartition(":")
    return _identity(item["node_id"], item["generation_id"], ip, port)


def _digest_kept(digest: Iterable[Mapping[str, Any]]) -> dict[Identity, Any]:
    return {_identity_of(each): (each["heartbeat"], each["last_gc_version"], each["max_version"]) for each in digest}


def _delta_kept(delta: Iterable[Mapping[str, Any]]) -> dict[Identity, Any]:
    sections: dict[Identity, Any] = {}
    section: list[Any] = []
    for item in delta:
        if item["op"] == "Node":
            section = sections[_identity_of(item)] = [item["last_gc_version"], item["from_version_excluded"], 0, []]
        elif item["op"] == "KeyValue":
            section[2] = item["version"]
            section[3].append((item["key"], item["value"], item["version"], item["status"]))
        else:
            section[2] = item["max_version"]
    return {identity: tuple(section) for identity, section in sections.items()}


def as_a_node_keeps_it(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as in JSON (interfaces: version, type, cluster_id, digest, delta) in the form that ``parse`` gives."""
    kept = {key: message[key] for key in ("version", "type", "cluster_id") if key in message}
    if "digest" in message:
        kept["digest"] = _digest_kept(message["digest"])
    if "delta" in message:
        kept["delta"] = _delta_kept(message["delta"])
    return kept
