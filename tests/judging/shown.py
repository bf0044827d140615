# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engine shows of a cluster at one time, read from its JSON: the form that everybody sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scapy_chitchat.capture import CapturedMessage
from tests.support.truth import Run, Value


class Engine(Protocol):
    """What is judged."""

    def feed(self, message: CapturedMessage) -> Iterable[Mapping[str, Any]]:
        """Take a message; give the events that follow, each as a JSON object of ``timeline --json``."""

    def finish(self) -> Iterable[Mapping[str, Any]]:
        """The events that are only known at the end."""

    def states(self, time: float, observer: Run) -> Iterable[Mapping[str, Any]]:
        """Each cluster at a time, epoch seconds, as the JSON object of ``state --json``; this observer is enough."""


@dataclass
class Replica:
    """What an observer is said to hold of a subject."""

    heartbeat: int | None
    last_gc_version: int | None
    max_version: int | None
    alive: bool | None
    presumed: bool
    """Whether these numbers rest on what is not proven: then nothing here is shown as certain."""
    key_values: dict[str, Value]
    certain: dict[str, Value]
    """Those of them that are shown without a reservation."""


View = dict[Run, Replica]


def read_view(states: Iterable[Mapping[str, Any]], run: Run) -> View:
    """What is shown of one observer in the JSON of all clusters."""
    view: View = {}
    for state in states:
        for observer in state["observers"]:
            if _run(observer) == run:
                view.update((_run(each), _replica(each)) for each in observer["replicas"])
    return view


def _run(entry: Mapping[str, Any]) -> Run:
    return Run(entry["node_id"], entry["generation_id"], entry["gossip_advertise_addr"])


def _replica(entry: Mapping[str, Any]) -> Replica:
    values = {key: Value(each["value"], each["version"], each["status"]) for key, each in entry["key_values"].items()}
    presumed = bool(entry.get("presumed"))
    certain = {} if presumed else {key: values[key] for key, each in entry["key_values"].items() if each["certain"]}
    return Replica(
        entry["heartbeat"],
        entry["last_gc_version"],
        entry["max_version"],
        entry["alive"],
        presumed,
        values,
        certain,
    )
