# SPDX-License-Identifier: GPL-2.0-or-later
"""Which messages to keep, by what they say, when they passed, and between whom; and which of their rows were meant."""

from __future__ import annotations

from collections.abc import Iterator

from scapy_chitchat.capture import CapturedMessage
from scapy_chitchat.capture.ends import End, matches
from scapy_chitchat.cli.options import MessageOptions, MessageSubjects, Period, moment_of
from scapy_chitchat.records.base import JsonObject


class Selection:
    """Which messages to keep."""

    def __init__(self, wish: MessageOptions, period: Period | None = None) -> None:
        self.wish = wish
        self._times = _Times(period) if period and (period.since or period.until) else None
        self._clusters: dict[frozenset[str], str] = {}
        self._sender, self._receiver = End(wish.sender), End(wish.receiver)
        self._learns = bool(wish.cluster or wish.sender or wish.receiver)
        self._reads = self._learns or bool(wish.types or wish.node or wish.names_rows or wish.findings)

    def keeps(self, captured: CapturedMessage) -> bool:
        """Whether the message passes every filter. Must see all messages: it learns from earlier ones."""
        wish = self.wish
        in_time = self._times is None or self._times.has(captured.datagram.nanoseconds)
        if not self._reads or not (in_time or self._learns):
            return in_time
        values = captured.values()
        if self._learns:
            for each in values.get("digest", ()):
                for end in (self._sender, self._receiver):
                    end.learn(each.get("node_id"), each.get("gossip_advertise_addr"))
        # asked in any case, since it learns
        cluster = not wish.cluster or self._cluster(captured, values) == wish.cluster
        sent = self._sender.is_at(captured.datagram.source, captured.source)
        received = self._receiver.is_at(captured.datagram.destination, captured.destination)
        return (
            in_time
            and cluster
            and sent
            and received
            and (not wish.types or values.get("type") in wish.types)
            and is_about(wish, values)
            and (not wish.findings or bool(captured.findings))
        )

    def _cluster(self, captured: CapturedMessage, values: JsonObject) -> str | None:
        pair = frozenset((captured.source, captured.destination))
        if "cluster_id" in values:
            self._clusters[pair] = values["cluster_id"]
        return self._clusters.get(pair)


class _Times:
    """When messages must have passed; a relative moment counts from the first message."""

    def __init__(self, period: Period) -> None:
        self._since, self._until = moment_of(period.since), moment_of(period.until)
        self._first: int | None = None

    def has(self, moment: int) -> bool:
        """Whether this moment is among them. Must be asked of the first message, too."""
        if self._first is None:
            self._first = moment
        since, until = self._since, self._until
        return (since is None or moment >= since.since_epoch(self._first)) and (
            until is None or moment <= until.since_epoch(self._first)
        )


# --- what a message says ---


def is_about(wish: MessageSubjects, values: JsonObject) -> bool:
    """Whether a message names the node that is asked for, and has a key-value as it is asked for."""
    if wish.names_rows:
        return any(True for _ in key_values(wish, values))
    return not wish.node or any(True for name in ("digest", "delta") for _ in rows(wish, name, values))


def rows(wish: MessageSubjects, name: str, values: JsonObject) -> Iterator[JsonObject]:
    """The entries of a list of a message that are meant: in a delta the key-values, where such are asked for."""
    if name == "delta" and wish.names_rows:
        return key_values(wish, values)
    found: Iterator[JsonObject] = iter(values.get(name, ()))
    if name not in ("digest", "delta") or not wish.node:
        return found
    return (each for each in found if matches(wish.node, each.get("node_id")))


def key_values(wish: MessageSubjects, values: JsonObject) -> Iterator[JsonObject]:
    """The key-values of a message that are asked for: of this key, status and node."""
    return (
        each
        for each in values.get("delta", ())
        if "key" in each
        and (not wish.key or matches(wish.key, each["key"]))
        and (not wish.statuses or each.get("status") in wish.statuses)
        and (not wish.node or matches(wish.node, each.get("node_id")))
    )
