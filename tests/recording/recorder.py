# SPDX-License-Identifier: GPL-2.0-or-later
"""Real nodes at work, each in a process of its own; what is done to them; and what they say of themselves: the truth.

The truth is one JSON object a line, in order of time: ``ev`` says what, ``t`` when (epoch seconds of the clock that
stamps the capture), ``node`` to whom (its place among the scenario's nodes).

| ev | |
|---|---|
| ``start``, ``restart`` | ``node_id``, ``gen``, ``addr``, the keys it started with, and all its settings |
| ``op`` | of an own key: ``op`` (0 set, 1 delete, 2 set and 3 delete with TTL), ``key``, ``value``, ``version`` |
| ``kill``, ``pause``, ``wake`` | of its process |
| ``cut``, ``mend`` | ``direction``: nobody hears it (``from``), it hears nobody (``to``); of ``peer`` only, if given |
| ``liveness`` | every second: ``view`` has ``observer``, ``live``, ``dead``. Asked at ``asked``, answered at ``t`` |
| ``state`` | at the end: the same, and ``nodes``, all that it knows of each |
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.recording.changes import OPERATIONS, Change, plain, quickwit
from tests.recording.scenario import Node, Scenario, Step
from tests.support.peers import RunningNodes

INTERVAL = 500
"""Milliseconds between a node's rounds, where the scenario says nothing."""


class Recorder:
    """Runs a scenario, and notes the truth of it."""

    def __init__(self, scenario: Scenario, inside: list[list[str]]) -> None:
        self.truth: list[dict[str, Any]] = []
        self._scenario = scenario
        self._nodes: dict[str, Node] = {node["node_id"]: node for nodes in scenario.ends for node in nodes}
        self._inside: dict[str, list[str]] = {}
        for nodes, within in zip(scenario.ends, inside, strict=True):
            self._inside.update((node["node_id"], within) for node in nodes)
        self._place = {name: place for place, name in enumerate(self._nodes)}
        self._at_work: dict[str, RunningNodes] = {}
        self._paused: set[str] = set()
        self._begun = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def run(self, seconds: float) -> None:
        """Run it for so long, then note every node's whole state. ``stop`` ends the processes."""
        self._begun = time.monotonic()
        late = self._scenario.late()
        for name in self._nodes:
            if name not in late:
                self._start(name)
        for step in self._scenario.steps:
            self._plan(step.at, self._doing(step))
        self._plan(1, lambda: self._sample(1))
        for name, node in self._nodes.items():
            if self._scenario.changes and "workload" not in node:
                words = quickwit(name) if self._scenario.words == "quickwit" else plain(name)
                self._plan(1 / self._scenario.changes, self._changing(name, words, 1 / self._scenario.changes))
        while self._due and self._due[0][0] < seconds:
            at, _, do = heapq.heappop(self._due)
            time.sleep(max(0.0, self._begun + at - time.monotonic()))
            do()
        time.sleep(max(0.0, self._begun + seconds - time.monotonic()))
        for name in self._at_work:
            if name not in self._paused:
                self._note_view("state", name, "nodes", "live", "dead")

    def stop(self) -> None:
        """End all processes."""
        for name in list(self._paused):
            self._wake(name)
        for nodes in self._at_work.values():
            nodes.stop()
        self._at_work.clear()

    def _plan(self, at: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._order), do))

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _sample(self, second: int) -> None:
        for name in self._at_work:
            if name not in self._paused:
                self._note_view("liveness", name, "live", "dead")
        self._plan(max(second + 1, self._elapsed()), lambda: self._sample(second + 1))

    def _changing(self, name: str, words: Iterator[Change], pause: float) -> Callable[[], None]:
        def change() -> None:
            if name in self._at_work and name not in self._paused:
                self._change(name, next(words))
            self._plan(self._elapsed() + pause, change)

        return change

    def _change(self, name: str, change: Change) -> None:
        answer = self._at_work[name].ask(name, change.op, key=change.key, value=change.value)
        details = {"value": change.value} if change.op.startswith("set") else {}
        op = OPERATIONS.index(change.op)
        self._note("op", name, op=op, key=change.key, version=answer.get("version"), **details)

    def _doing(self, step: Step) -> Callable[[], None]:
        name = step.node
        return {
            "start": lambda: self._start(name),
            "kill": lambda: self._kill(name),
            "pause": lambda: self._pause(name),
            "wake": lambda: self._wake(name),
            "cut": lambda: self._cut(step),
            "mend": lambda: self._mend(name),
            "set": lambda: self._change(name, Change("set", step.key, step.value * step.times)),
            "delete": lambda: self._change(name, Change("delete", step.key)),
        }[step.do]

    def _start(self, name: str) -> None:
        node = {"interval": INTERVAL, "generation": time.time_ns(), **self._nodes[name]}
        again = any(row["ev"] == "start" and row["node_id"] == name for row in self.truth)
        self._at_work[name] = RunningNodes([node], self._inside[name])
        address = self._at_work[name].address[name]
        settings = {key: value for key, value in node.items() if key not in ("node_id", "generation", "listen")}
        self._note(
            "restart" if again else "start",
            name,
            node_id=name,
            gen=node["generation"],
            addr=node.get("advertise", address),
            **settings,
        )

    def _kill(self, name: str) -> None:
        nodes = self._at_work.pop(name)
        nodes.process.kill()
        nodes.stop()
        self._note("kill", name)

    def _pause(self, name: str) -> None:
        os.kill(self._at_work[name].process.pid, signal.SIGSTOP)
        self._paused.add(name)
        self._note("pause", name)

    def _wake(self, name: str) -> None:
        self._note("wake", name)  # before it speaks again
        os.kill(self._at_work[name].process.pid, signal.SIGCONT)
        self._paused.discard(name)

    def _cut(self, step: Step) -> None:
        one, other = ("saddr", "daddr") if step.direction == "from" else ("daddr", "saddr")
        rule = f"ip {one} {self._host(step.node)} "
        if step.peer:
            rule += f"ip {other} {self._host(step.peer)} "
        # where a message arrives, not where it leaves: a capture has it, and its receiver does not
        chain = "{ chain arriving { type filter hook input priority 0; " + rule + "drop; }; }"
        self._nft(step.node, f"add table ip {self._table(step.node)} {chain}")
        self._note("cut", step.node, direction=step.direction, **({"peer": step.peer} if step.peer else {}))

    def _mend(self, name: str) -> None:
        self._note("mend", name)  # before it is heard again
        self._nft(name, f"delete table ip {self._table(name)}")

    def _nft(self, name: str, command: str) -> None:
        subprocess.run([*self._inside[name], "nft", command], check=True)

    def _table(self, name: str) -> str:
        return f"cut{self._place[name]}"

    def _host(self, name: str) -> str:
        return str(self._nodes[name]["listen"]).rpartition(":")[0]

    def _note_view(self, event: str, name: str, *parts: str) -> None:
        asked = time.time()
        state = self._at_work[name].ask(name, "state")
        shown = {"nodes": _nodes, "live": _ids, "dead": _ids}
        view = {"observer": name, **{part: shown[part](state[part]) for part in parts}}
        self._note(event, name, asked=asked, view=view)

    def _note(self, event: str, name: str, **details: Any) -> None:
        self.truth.append({"t": time.time(), "ev": event, "node": self._place[name], **details})


def _ids(nodes: list[dict[str, Any]]) -> list[str]:
    return [f"{node['node_id']}:{node['generation_id']}:{node['gossip_advertise_addr']}" for node in nodes]


def _nodes(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": node["node_id"],
            "gen": node["generation_id"],
            "addr": node["gossip_advertise_addr"],
            "heartbeat": node["heartbeat"],
            "last_gc_version": node["last_gc_version"],
            "max_version": node["max_version"],
            "kv": [[kv["key"], kv["value"], kv["version"], kv["status"]] for kv in node["key_values"]],
        }
        for node in nodes
    ]
