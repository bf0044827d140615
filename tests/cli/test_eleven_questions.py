# SPDX-License-Identifier: GPL-2.0-or-later
"""The eleven questions: the pages show what the commands print now, and each answer is the truth of the story.

The truth is what the nodes of the story said of themselves and what was done to them (pcaps/story.jsonl.gz), not what
the engine says.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from typing import Any, NamedTuple

import pytest

from tests import questions
from tests.cli.test_cli import run
from tests.support import PCAPS, ROOT
from tests.support.truth import Change, Run, Truth, View, read_truth

pytestmark = pytest.mark.long  # each answer is a run of a command on the whole story

STORY = PCAPS / "story.pcap.gz"
TRUTH = read_truth(PCAPS / "story.jsonl.gz")
INTERVAL = 1.0
"""Seconds between the rounds of the story's nodes: what a node changes is seen in its next round, or the one after."""
LATE = 2 * INTERVAL + 0.5
UNSENDABLE = 65_000


BLOCKS = [block for page in questions.PAGES for block in questions.blocks(page.read_text())]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[1][2:70])
def test_a_page_shows_what_its_commands_print(block: str) -> None:
    assert questions.renewed(block) == block, "run python -m tests.questions"


def test_both_pages_have_such_blocks() -> None:
    for page in questions.PAGES:
        assert len(questions.blocks(page.read_text())) >= 2, page


def test_an_output_that_is_out_of_date_is_seen() -> None:
    command = f"scapy-chitchat timeline --kind restarted {questions.STORY}"
    page = f"```\n$ {command}\nnobody\n```\n```\n$ scapy-chitchat probe 127.0.0.1\nas it is\n```\n"
    after = questions.renewed(page)
    assert "nobody" not in after
    assert "searcher-1" in after
    assert "as it is" in after


def test_every_question_has_its_commands() -> None:
    page = (ROOT / "docs" / "questions.md").read_text()
    sections = page.split("\n## ")[1:]
    assert [section.split(".")[0] for section in sections[:11]] == [str(number) for number in range(1, 12)]
    for section in sections[:11]:
        assert questions.blocks(section), section[:40]
        assert "**Not to be\nknown**" in section or "**Not to be known**" in section, section[:40]


# --- what the commands say, and what the truth says ---


@cache
def said(*arguments: str) -> list[dict[str, Any]]:
    done = run(*arguments, "--json", STORY)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def prod() -> dict[str, Any]:
    (found,) = said("state", "--cluster", "prod")
    return found


def run_of(entry: dict[str, Any]) -> Run:
    return Run(entry["node_id"], entry["generation_id"], entry["gossip_advertise_addr"])


def cluster_of(run: Run) -> str:
    name: str = TRUTH.runs[run]["settings"]["cluster_id"]
    return name


def latest(truth: Truth) -> dict[str, Run]:
    return {run.node_id: run for run in truth.runs}  # in order of their start


def last_view(run: Run) -> View:
    (found,) = (view for view in TRUTH.states if view.observer == run)
    return found


class Write(NamedTuple):
    time: float
    run: Run
    op: int
    key: str
    value: str
    version: int


def writes() -> list[Write]:
    """The changes that took a version: one that sets what is there already takes none."""
    known: dict[Run, int] = defaultdict(int)
    for each_run, details in TRUTH.runs.items():
        known[each_run] = len(STARTED) if cluster_of(each_run) == "prod" else 0
        assert details["started"]
    taken = []
    for each in TRUTH.changes:
        assert each.version is not None
        if each.version > known[each.run]:
            known[each.run] = each.version
            taken.append(Write(each.time, each.run, each.op, each.key, each.value, each.version))
    return taken


STARTED = ("availability_zone", "enabled_services", "grpc_advertise_addr", "indexing_cpu_capacity", "ingester.status",
           "readiness")  # fmt: skip
"""The keys that a node of the story starts with: versions 1 to 6."""


def unsendable() -> dict[Run, int]:
    """The runs that wrote a value that fits no datagram, and at which version."""
    return {each.run: each.version for each in writes() if len(each.value) > UNSENDABLE}


def told(each: Write) -> bool:
    """Whether anybody could be told of a change: it is not behind one that fits no datagram, nor of the stranger."""
    return cluster_of(each.run) == "prod" and each.version < unsendable().get(each.run, 2**64)


def pauses() -> list[tuple[Run, float, float]]:
    found, since = [], {}
    for deed in TRUTH.deeds:
        if deed["ev"] == "pause":
            since[deed["run"]] = deed["t"]
        elif deed["ev"] == "wake":
            found.append((deed["run"], since.pop(deed["run"]), deed["t"]))
    return found


# --- the answers ---


def test_1_which_nodes_are_there() -> None:
    shown = {(state["cluster_id"], run_of(node)) for state in said("state") for node in state["nodes"]}
    assert shown == {(cluster_of(run), run) for run in TRUTH.runs}


def test_1_who_holds_whom_for_alive() -> None:
    for observer in prod()["observers"]:
        if latest(TRUTH)[observer["node_id"]] != run_of(observer):
            continue
        view = last_view(run_of(observer))
        assert {run_of(each) for each in observer["replicas"] if each["alive"]} == view.live
        assert {run_of(each) for each in observer["replicas"] if each["alive"] is False} == view.dead


def test_2_which_run_is_the_current_one() -> None:
    current = {run_of(node) for state in said("state") for node in state["nodes"] if node["run"] == "current"}
    assert current == set(latest(TRUTH).values())


def test_3_who_restarted() -> None:
    restarts = [run for run in TRUTH.runs if run != next(each for each in TRUTH.runs if each.node_id == run.node_id)]
    events = said("timeline", "--kind", "restarted")
    assert [(event["node_id"], event["generation_id"]) for event in events] == [run[:2] for run in restarts]
    for event, restarted in zip(events, restarts, strict=True):
        before = next(each for each in TRUTH.runs if each.node_id == restarted.node_id)
        assert event["earlier_generation_id"] == before.generation_id
        assert 0 <= event["time"] - TRUTH.runs[restarted]["started"] < LATE


def test_4_who_gets_no_updates() -> None:
    at = said("timeline")[0]["time"] + 29
    (state,) = said("state", "--cluster", "prod", "--differences", "--at", "+29")
    lacking: dict[str, set[str]] = defaultdict(set)
    has = {run_of(node): node["max_version"] for node in state["nodes"]}
    for observer in state["observers"]:
        for replica in observer["replicas"]:
            if replica["max_version"] < has[run_of(replica)]:
                lacking[observer["node_id"]].add(replica["node_id"])
    paused = {run.node_id for run, since, to in pauses() if since < at < to}
    stuck = {run.node_id for run in unsendable()}
    everybody = {node for node, run in latest(TRUTH).items() if cluster_of(run) == "prod"}
    assert {name for name, subjects in lacking.items() if subjects - stuck} == paused
    assert {name for name, subjects in lacking.items() if subjects & stuck} == everybody - stuck
    assert all(lacking[name] == everybody - {name} for name in paused)


def test_4_what_everybody_lacks_at_the_end() -> None:
    shown, true = {}, {}
    for observer in prod()["observers"]:
        if latest(TRUTH)[observer["node_id"]] == run_of(observer):
            shown.update({(run_of(observer), run_of(each)): each["max_version"] for each in observer["replicas"]})
            true.update(
                {(run_of(observer), run): held.max_version for run, held in last_view(run_of(observer)).nodes.items()}
            )
    assert len(shown) > 100
    assert shown == true


def test_5_how_long_does_a_key_take() -> None:
    written = {(*each.run[:2], each.version): each.time for each in writes()}
    events = said("timeline", "--kind", "propagated")
    timed = [(each, written.get((each["node_id"], each["generation_id"], each["version"]))) for each in events]
    assert sum(since is not None for _, since in timed) > 30, "the others are of the keys of the start"
    for event, since in timed:
        if since is not None:
            assert event["seconds"] <= event["time"] - since <= event["seconds"] + LATE, event


def test_5_the_way_of_one_key() -> None:
    steps = said("follow", "readiness", "--node", "indexer-1")
    changes = [each for each in writes() if each.run.node_id == "indexer-1" and each.key == "readiness"]
    assert [(step["version"], step["value"]) for step in steps[1:]] == [(each.version, each.value) for each in changes]
    for step, change in zip(steps[1:], changes, strict=True):
        assert 0 <= step["time"] - change.time < LATE
        asleep = {run.node_id: to for run, since, to in pauses() if since < change.time < to}
        for observer in step["observers"]:
            if observer["node_id"] in asleep:
                assert observer["time"] >= asleep[observer["node_id"]]
            else:
                assert 0 <= observer["seconds"] <= 2 * INTERVAL


def test_6_who_is_too_large_for_a_datagram() -> None:
    events = said("timeline", "--kind", "stuck,oversized-answer,digest-near-limit")
    assert {(event["event"], event["node_id"]) for event in events} == {("stuck", run.node_id) for run in unsendable()}
    ((run, version),) = unsendable().items()
    assert events[0]["from_version_excluded"] == version - 1
    others = [view.nodes[run].max_version for view in TRUTH.states if run in view.nodes and view.observer != run]
    assert others
    assert max(others) == version - 1


def test_7_what_is_everybodys_readiness() -> None:
    (state,) = said("state", "--key", "readiness")
    shown = {run_of(node): node["key_values"]["readiness"] for node in state["nodes"] if node["run"] == "current"}
    true = {view.observer: view.nodes[view.observer].key_values["readiness"] for view in TRUTH.states
            if cluster_of(view.observer) == "prod"}  # fmt: skip
    assert shown.keys() == true.keys()
    certain = {run: each for run, each in shown.items() if each["certain"]}
    assert {run: (each["value"], each["version"]) for run, each in certain.items()} == {
        run: (true[run].value, true[run].version) for run in certain
    }
    assert shown.keys() - certain.keys() == unsendable().keys()


def test_8_what_changed_between_two_times() -> None:
    first = said("timeline")[0]["time"]
    events = said("timeline", "--kind", "changed,deleted", "--from", "+20", "--to", "+26")
    shown = {(event["node_id"], event["key"], event["value"], event["version"]) for event in events}
    true = {
        (each.run.node_id, each.key, each.value, each.version): each.time - first for each in writes() if told(each)
    }
    assert shown <= true.keys()
    assert len(shown) > 10
    assert {what for what, time in true.items() if 20 <= time < 26 - LATE} <= shown
    assert {what for what in shown if not 20 - LATE <= true[what] <= 26} == set()


def test_9_which_key_was_deleted() -> None:
    shown = {(event["node_id"], event["key"], event["version"]) for event in said("timeline", "--kind", "deleted")}
    deleted = [each for each in writes() if each.op == 1]
    assert shown == {(each.run.node_id, each.key, each.version) for each in deleted if told(each)}
    assert {each.run.node_id for each in deleted if not told(each)} == {"janitor-0", "staging-searcher-0"}


def test_10_how_do_heartbeats_run() -> None:
    for node in prod()["nodes"]:
        if node["run"] == "earlier":
            continue
        view = last_view(run_of(node))
        true = view.nodes[view.observer].heartbeat
        assert true - 2 * node["heartbeat_rate"] * INTERVAL - 5 <= node["heartbeat"] <= true
        whole = (true - 1) / (view.asked - TRUTH.runs[view.observer]["started"])
        assert node["heartbeat_rate"] == pytest.approx(whole, rel=0.1)


def test_10_who_was_silent() -> None:
    events = [each for each in said("timeline", "--kind", "silent") if each["silent"] == "observer"]
    assert [each["node_id"] for each in events] == [run.node_id for run, _, _ in pauses()]
    for event, (_, since, to) in zip(events, pauses(), strict=True):
        assert abs(event["time"] - to) < LATE
        assert abs(event["seconds"] - (to - since)) < LATE


def test_11_who_hears_bad_cluster() -> None:
    events = said("timeline", "--kind", "bad-cluster")
    strangers = {run for run in TRUTH.runs if cluster_of(run) == "staging"}
    assert {(each["node_id"], each["generation_id"]) for each in events} == {run[:2] for run in strangers}
    (stranger,) = strangers
    assert {each["to"] for each in events} == set(TRUTH.runs[stranger]["settings"]["seeds"])
    assert {each["other_cluster"] for each in events} == {"prod"}


def test_why_it_flaps() -> None:
    """Who was cut off is called dead by others, and nothing that it sent was read by them."""
    cut, mend = (next(deed for deed in TRUTH.deeds if deed["ev"] == what) for what in ("cut", "mend"))
    address = cut["run"].gossip_advertise_addr
    inside = [each for each in said("timeline") if cut["t"] + 0.1 < each["time"] < mend["t"]]
    unread = [each for each in inside if each["event"] == "not-read" and each["source"] == address]
    assert len(unread) > 50
    deaths = {each["observer"] for each in inside if each["event"] == "dead" and each["node_id"] == cut["run"].node_id}
    assert len(deaths) >= 8
    assert not [each for each in inside if each["event"] == "silent" and each["node_id"] == cut["run"].node_id]


def test_the_truth_has_what_the_questions_are_about() -> None:
    changes: list[Change] = TRUTH.changes
    assert len(changes) > len(writes()) > 80
    assert len(pauses()) == 2
    assert len(unsendable()) == 1
