# SPDX-License-Identifier: GPL-2.0-or-later
"""What real nodes said of themselves while their traffic was captured, read from the lines beside a capture.

tests/recording/recorder.py describes the lines. Captures that were made elsewhere have fewer details: nodes are called
``node-`` and their number, settings are not told, and a change of a key does not say which version it got.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from scapy_chitchat.records.identity import ChitchatId

FAILURE_DETECTOR = {"initial_interval": 5.0, "phi_threshold": 8.0, "sampling_window": 1000.0, "max_interval": 10.0}
"""The crate's own settings, in seconds where they are times."""
_MILLISECONDS = {"interval", "initial_interval", "max_interval", "grace", "dead_grace"}
_ID = re.compile(r"(?s)(.*):(\d+):(\[[^]]*\]:\d+|[^:]*:\d+)")


Run: TypeAlias = ChitchatId
"""A node from one start to its end."""


class Value(NamedTuple):
    """What a key has."""

    value: str
    version: int
    status: str


@dataclass
class Held:
    """What one node knows of another, or of itself."""

    heartbeat: int
    last_gc_version: int
    max_version: int
    key_values: dict[str, Value]


@dataclass
class View:
    """What a node said of its cluster when it was asked."""

    asked: float
    """Epoch seconds before it was asked, and when it had answered."""
    answered: float
    observer: Run
    live: frozenset[Run]
    dead: frozenset[Run]
    nodes: dict[Run, Held]
    """Empty but at the end."""


class Change(NamedTuple):
    """A change that a node made to its own keys."""

    time: float
    run: Run
    op: int
    key: str
    value: str
    version: int | None


@dataclass
class Truth:
    """All that is known of a recording beside its capture."""

    runs: dict[Run, dict[str, Any]] = field(default_factory=dict)
    """When each run started (``started``), and its settings; times in seconds."""
    samples: list[View] = field(default_factory=list)
    """Live and dead lists, in order of time."""
    states: list[View] = field(default_factory=list)
    """Whole states at the end."""
    changes: list[Change] = field(default_factory=list)
    deeds: list[dict[str, Any]] = field(default_factory=list)
    """Kills, pauses, cuts: the lines as they are, with the ``run`` that was at work."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run that started first; nothing where they are not told."""
        return next((details["settings"] for details in self.runs.values()), {})


def truth_of(capture: Path) -> Path | None:
    """The file of the truth beside a capture, if there is one."""
    stem = capture.name.removesuffix(".gz").removesuffix(".pcap")
    beside = (capture.with_name(stem + ending) for ending in (".jsonl", ".jsonl.gz"))
    return next((path for path in beside if path.exists()), None)


def read_truth(path: Path) -> Truth:
    """The truth in a file. Raises ValueError where a line is none."""
    truth = Truth()
    current: dict[int | str, Run] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for row in map(json.loads, lines):
            _read_row(row, truth, current)
    return truth


def _read_row(row: dict[str, Any], truth: Truth, current: dict[int | str, Run]) -> None:
    kind, time, place = row["ev"], row["t"], row.get("node", -1)
    if kind in ("start", "restart"):
        name = row.get("node_id", f"node-{place}")
        address = row.get("addr") or current[place].gossip_advertise_addr
        current[place] = current[name] = run = Run(name, row["gen"], address)
        truth.runs[run] = {"started": time, "settings": _settings(row)}
    elif kind == "op":
        change = Change(time, current[place], row["op"], row["key"], row.get("value", ""), row.get("version"))
        truth.changes.append(change)
    elif kind in ("liveness", "state"):
        view = _view(row, current)
        (truth.samples if kind == "liveness" else truth.states).append(view)
    else:
        truth.deeds.append({**row, "run": current.get(place)})


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in row.items() if key not in ("ev", "t", "node", "node_id", "gen", "addr")}
    return {key: value / 1000 if key in _MILLISECONDS else value for key, value in told.items() if key != "keys"}


def _view(row: dict[str, Any], current: dict[int | str, Run]) -> View:
    view = row["view"]
    nodes = {Run(node["id"], node["gen"], node["addr"]): _held(node) for node in view.get("nodes", ())}
    live, dead = (frozenset(map(_run, view[which])) for which in ("live", "dead"))
    return View(row.get("asked", row["t"]), row["t"], current[view["observer"]], live, dead, nodes)


def _held(node: dict[str, Any]) -> Held:
    heartbeat = int(str(node["heartbeat"]).removeprefix("Heartbeat(").removesuffix(")"))
    keys = {key: Value(*rest) for key, *rest in node["kv"]}
    return Held(heartbeat, node["last_gc_version"], node["max_version"], keys)


def _run(text: str) -> Run:
    found = _ID.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no id")
    return Run(found[1], int(found[2]), found[3])
