# SPDX-License-Identifier: GPL-2.0-or-later
"""Events in words: a sentence for each kind, and its colour."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from scapy_chitchat.cli.common import counted
from scapy_chitchat.cli.moments import generation_text
from scapy_chitchat.cluster import Event
from scapy_chitchat.net.text import printable

STYLES = {
    **dict.fromkeys(("dead", "stuck", "contradiction", "contested", "oversized-answer", "odd-address"), "red"),
    **dict.fromkeys(("restarted", "reset", "gap", "bad-cluster", "silent", "not-read", "digest-near-limit"), "yellow"),
    **dict.fromkeys(("alive", "joined"), "green"),
    **dict.fromkeys(("unanswered", "not-captured", "inapplicable", "collected", "propagated"), "dim"),
}
"""The colour of an event; others have none."""


def _change(event: Event) -> str:
    earlier = f", was {_value(event.earlier)}" if event.earlier not in (UNSET, None) else ""
    expires = ", to expire" if event.status == "DeleteAfterTtl" else ""
    return f"{_text(event.key)} = {_value(event.value)} at version {event.version}{expires}{earlier}"


def _ended(event: Event) -> str:
    return "which expired; it was set at" if event.status == "DeleteAfterTtl" else "which was deleted at"


def _value(value: object) -> str:
    text = printable(value)
    return f'"{text}"' if len(text) <= LONGEST_VALUE else f'"{text[:LONGEST_VALUE]}…"'


def _text(value: object) -> str:
    return printable(value)


def _phi(event: Event) -> str:
    return f" (phi {event.phi:.2f})" if isinstance(event.phi, float) else ""


def _section(event: Event) -> str:
    return (
        f"section from version {event.from_version_excluded}, max_version {event.max_version}, "
        f"last_gc_version {event.last_gc_version}"
    )


SENTENCES: dict[str, Callable[[Event], str]] = {
    "joined": lambda event: "is seen for the first time",
    "restarted": lambda event: f"is a new run; the one before was of {_generation(event.earlier_generation_id)}",
    "alive": lambda event: f"is alive{_phi(event)}",
    "dead": lambda event: f"is dead{_phi(event)}",
    "dropped": lambda event: "is no longer in its digests",
    "forgotten": lambda event: "has been forgotten",
    "changed": _change,
    "deleted": lambda event: f"{_text(event.key)} deleted at version {event.version}",
    "collected": lambda event: f"{_text(event.key)} collected, {_ended(event)} version {event.version}",
    "propagated": lambda event: (
        f"version {event.version} is everywhere after {event.seconds:.3f} s: first {_text(event.first)}, "
        f"last {_text(event.last)}"
    ),
    "reset": lambda event: f"its copy is dropped and begun anew: {_section(event)}",
    "gap": lambda event: f"refused, versions are missing: {_section(event)}",
    "inapplicable": lambda event: f"nothing new: {_section(event)}",
    "stuck": lambda event: f"the next key-value fits no datagram; {counted(int(event.behind or 0), 'version')} behind",
    "unanswered": lambda event: f"no answer from {_text(event.to)} to its {event.type}",
    "not-read": lambda event: f"never read the {event.type} of {_text(event.source)}: lost, or its buffer was full",
    "not-captured": lambda event: f"read {counted(int(event.count or 0), 'message')} that the capture does not have",
    "oversized-answer": lambda event: f"read the Syn of {_text(event.to)}, but its answer fits no datagram",
    "silent": lambda event: f"said nothing for {event.seconds:.1f} s, {_who(event)}",
    "bad-cluster": lambda event: (
        f"told by {_observer(event) or _text(event.to)} that it is of another cluster{_other(event)}"
    ),
    "digest-near-limit": lambda event: (
        f"digest of {event.bytes} bytes with {event.entries} entries: soon no datagram holds it"
    ),
    "odd-address": lambda event: f"cannot be reached as advertised: {_text(event.why)}",
    "contested": lambda event: f"two contents of version {event.version}, key {_text(event.key)}",
    "contradiction": lambda event: f"cannot be true: {_text(event.what)}",
}
"""What each kind says, behind the node that it is about."""

LONGEST_VALUE = 60
"""Characters of a value that a line shows."""


def _generation(generation_id: object) -> str:
    return generation_text(generation_id) if isinstance(generation_id, int) else "?"


def _who(event: Event) -> str:
    return "and is called dead" if event.silent == "subject" else "and now calls others dead"


def _other(event: Event) -> str:
    return f": {_text(event.other_cluster)}" if isinstance(event.other_cluster, str) else ""


def sentence(event: Event) -> str:
    """An event in words, without its time."""
    subject = printable(event.node_id) if event.node_id is not None else "a node"
    said = f"{subject} {SENTENCES[event.event](event)}"
    return said if event.observer is None or event.event == "bad-cluster" else f"{said} [for {_observer(event)}]"


def _observer(event: Event) -> str:
    return printable(event.observer.node_id) if event.observer else ""
