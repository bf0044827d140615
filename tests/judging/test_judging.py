# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge itself: an engine that knows the truth is right in all, and one that errs is found out in what it errs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from scapy_chitchat import read_messages
from scapy_chitchat.capture import CapturedMessage
from tests.judging.score import UNEXPLAINED, Judge, Score
from tests.judging.traffic import VARIANTS, Messages
from tests.support import PCAPS
from tests.support.truth import Run, Truth, View, read_truth, truth_of

State = dict[str, Any]
CAPTURE = PCAPS / "story.pcap.gz"
SURE = {"value": "", "status": "Set", "certain": True}


class Omniscient:
    """An engine that has read the truth. ``spoil`` errs in what it shows."""

    def __init__(self, truth: Truth, spoil: Callable[[State], None]) -> None:
        self._views = {view.answered: view for view in (*truth.samples, *truth.states)}
        self._spoil = spoil

    def feed(self, message: CapturedMessage) -> Iterator[Mapping[str, Any]]:
        yield from ()

    def finish(self) -> Iterator[Mapping[str, Any]]:
        yield {"event": "contradiction"} if self._spoil is a_contradiction else {"event": "gap"}

    def states(self, time: float, observer: Run) -> Iterator[State]:
        view = self._views[time]
        state = {"predicted": 1.0, "observers": [{**_id(view.observer), "replicas": list(_replicas(view))}]}
        self._spoil(state)
        yield state


def _id(run: Run) -> dict[str, Any]:
    return run._asdict()


def _replicas(view: View) -> Iterator[dict[str, Any]]:
    for run in view.live | view.dead | view.nodes.keys():
        held = view.nodes.get(run)
        values = {key: {**value._asdict(), "certain": True} for key, value in held.key_values.items()} if held else {}
        yield {
            **_id(run),
            "heartbeat": held and held.heartbeat,
            "last_gc_version": held and held.last_gc_version,
            "max_version": held and held.max_version,
            "alive": run in view.live,
            "key_values": values,
        }


def a_contradiction(state: State) -> None:
    """What is shown is right: the engine says at the end that something cannot be."""


@pytest.fixture(scope="module")
def truth() -> Truth:
    path = truth_of(CAPTURE)
    assert path
    return read_truth(path)


@pytest.fixture(scope="module")
def messages() -> Messages:
    return list(read_messages(CAPTURE))


def judged(truth: Truth, messages: Messages, spoil: Callable[[State], None] = lambda state: None) -> Score:
    return Judge(Omniscient(truth, spoil), truth, messages, messages).run()


def replicas(state: State) -> list[State]:
    return [replica for observer in state["observers"] for replica in observer["replicas"]]


def test_who_knows_the_truth_is_right_in_all(truth: Truth, messages: Messages) -> None:
    score = judged(truth, messages)
    assert score.pairs == score.pairs_equal > 40
    assert score.key_values == score.key_values_equal == score.certain > 400
    assert score.samples == score.samples_equal > 200
    assert not score.false
    assert not score.later
    assert not score.reasons


def another_value(state: State) -> None:
    for replica in replicas(state):
        for value in replica["key_values"].values():
            value["value"] += "?"


def an_older_version(state: State) -> None:
    for replica in replicas(state):
        for value in replica["key_values"].values():
            value["version"] -= 1


def a_deleted_key(state: State) -> None:
    for replica in replicas(state):
        if replica["max_version"]:
            replica["key_values"]["never set"] = {**SURE, "version": replica["max_version"]}


def a_forgotten_node(state: State) -> None:
    for observer in state["observers"]:
        held = {"key_values": {"k": {**SURE, "version": 1}}, "alive": None}
        observer["replicas"].append({**observer["replicas"][0], **held, "node_id": "of nobody"})


@pytest.mark.parametrize("spoil", [another_value, an_older_version, a_deleted_key, a_forgotten_node])
def test_a_false_key_value_that_is_shown_as_certain_is_found(
    spoil: Callable[[State], None], truth: Truth, messages: Messages
) -> None:
    assert judged(truth, messages, spoil).false >= len(truth.states) > 10


def presumed(replica: State) -> None:
    replica["presumed"] = True


def unsure(replica: State) -> None:
    for value in replica["key_values"].values():
        value["certain"] = False


@pytest.mark.parametrize("reserve", [presumed, unsure])
def test_what_is_shown_with_a_reservation_is_not_called_certain(
    reserve: Callable[[State], None], truth: Truth, messages: Messages
) -> None:
    def reserved(state: State) -> None:
        another_value(state)
        for replica in replicas(state):
            reserve(replica)

    score = judged(truth, messages, reserved)
    assert not score.certain
    assert not score.false
    assert not score.key_values_equal


def test_a_max_version_that_nothing_explains_is_said_so(truth: Truth, messages: Messages) -> None:
    def ahead(state: State) -> None:
        for replica in replicas(state):
            replica["max_version"] = replica["max_version"] and replica["max_version"] + 1

    score = judged(truth, messages, ahead)
    assert score.pairs_equal < score.pairs / 4
    assert score.reasons["max_version", UNEXPLAINED] == score.pairs - score.pairs_equal


def test_a_verdict_turned_round_is_found(truth: Truth, messages: Messages) -> None:
    def all_alive(state: State) -> None:
        for replica in replicas(state):
            replica["alive"] = True

    score = judged(truth, messages, all_alive)
    dead = sum(bool(view.dead) for view in truth.samples)
    assert dead > 20
    assert score.samples_equal == score.samples - dead
    assert score.reasons["liveness", UNEXPLAINED] == dead


def test_a_verdict_that_is_not_known_is_open(truth: Truth, messages: Messages) -> None:
    def unknown(state: State) -> None:
        replicas(state)[0]["alive"] = None

    score = judged(truth, messages, unknown)
    assert score.samples_open == score.samples
    assert not score.samples_equal


def test_a_contradiction_is_counted(truth: Truth, messages: Messages) -> None:
    assert judged(truth, messages, a_contradiction).contradictions == 1
    assert judged(truth, messages, another_value).contradictions == 0


def test_variants_leave_out_what_they_say(messages: Messages) -> None:
    left = {name: some(messages) for name, some in VARIANTS.items()}
    assert left["whole"] == messages
    assert 0.93 < len(left["5 % missing"]) / len(messages) < 0.97
    assert 0.66 < len(left["30 % missing"]) / len(messages) < 0.74
    assert left["from the middle"][-1] is messages[-1]
    assert 0 < len(left["one node's"]) < len(messages)
    assert all(some == VARIANTS[name](messages) for name, some in left.items())
