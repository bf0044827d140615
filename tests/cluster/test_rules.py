"""What a node of each version does with a section, and how its statements tell the versions apart."""

from __future__ import annotations

import pytest

from scapy_chitchat.cluster import Settings
from scapy_chitchat.cluster._records import ChitchatId, Section
from scapy_chitchat.cluster.rules import RULES, outcome, shown
from scapy_chitchat.records.classes import KeyValueOp
from tests.cluster.telling import A, B, KeyValue, introduced, kv

_ID = ChitchatId("n", 1, "127.0.0.1:7280")


def section(gc: int, start: int, reached: int, *key_values: KeyValue) -> Section:
    return Section(_ID, gc, start, tuple(KeyValueOp(*each) for each in key_values), reached)


@pytest.mark.parametrize(
    ("rules", "numbers", "told", "kind", "after"),
    [
        ("0.10.1", (7, 0, 5), section(0, 5, 6, kv("k", 6)), "apply", (7, 0, 6)),
        ("0.10.1", (7, 0, 5), section(0, 6, 7, kv("k", 7)), "gap", (7, 0, 5)),
        ("0.10.1", (7, 0, 5), section(0, 3, 5, kv("k", 5)), "old", (7, 0, 5)),
        ("0.10.1", (7, 0, 5), section(6, 0, 8, kv("k", 8)), "reset", (0, 6, 8)),
        ("0.10.1", (7, 0, 5), section(6, 5, 8, kv("k", 8)), "inapplicable", (7, 0, 5)),
        ("0.10.1", (7, 0, 5), section(5, 5, 8, kv("k", 8)), "apply", (7, 0, 8)),
        ("0.10.1", (7, 0, 5), section(5, 5, 8), "apply", (7, 0, 8)),
        ("0.10.1", (7, 9, 5), section(9, 5, 8, kv("k", 8)), "apply", (7, 9, 8)),
        ("0.10.1", (7, 0, 5), section(6, 0, 0), "reset", (0, 6, 0)),
        ("0.10.0", (7, 0, 5), section(5, 0, 8, kv("k", 8)), "reset", (0, 5, 8)),
        ("0.10.0", (7, 0, 5), section(5, 5, 8, kv("k", 8)), "inapplicable", (7, 0, 5)),
        ("0.9", (7, 0, 5), section(5, 5, 8, kv("k", 8)), "reset", (0, 5, 8)),
        ("0.9", (7, 0, 5), section(4, 5, 8), "old", (7, 0, 5)),
        ("0.9", (7, 0, 5), section(6, 0, 8), "reset", (0, 6, 8)),
        ("0.9", (7, 0, 5), section(6, 0, 0), "old", (7, 0, 5)),
        ("0.9", (7, 0, 5), section(9, 0, 9, kv("k", 8), kv("l", 9, "", "Delete")), "reset", (0, 9, 8)),
    ],
)
def test_outcomes(rules: str, numbers: tuple[int, int, int], told: Section, kind: str, after: object) -> None:
    assert outcome(RULES[rules], numbers, told) == (kind, after)  # type: ignore[index]


def test_a_reset_that_only_0_9_makes_tells_the_rules() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 1, 2), B: (5, 0, 0)}, (A, 1, 1, [kv("l", 2)]))
    told.ack(B, A)
    told.syn(B, A, {A: (0, 1, 2), B: (7, 0, 0)})  # the heartbeat of a reset
    nodes = {node.node_id: node for node in told.cluster.at()[0].nodes}
    assert nodes["n2"].rules == "0.9"
    assert told.keys(B, A) == {"l": ("v", 2, True)}, "what was below the section's start is lost for good"


def test_a_set_max_version_that_is_taken_rules_0_9_out() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 0, 4), B: (5, 0, 0)}, (A, 0, 1, 4))
    told.ack(B, A)
    told.syn(B, A, {A: (4, 0, 4), B: (7, 0, 0)})
    assert told.cluster.at()[0].predicted == 1
    nodes = {node.node_id: node for node in told.cluster.at()[0].nodes}
    assert nodes["n2"].rules is None, "0.10.0 and 0.10.1 do the same here"


def test_of_how_many_forgotten_runs_the_heartbeat_is_kept() -> None:
    assert {name: rules.remembers for name, rules in RULES.items()} == {
        "0.9": 0,
        "0.10.0": 500,
        "0.10.1": 500,
        "0.11.2": 5000,
    }


def test_versions_that_no_section_tells_apart_are_shown_by_the_oldest() -> None:
    assert shown({"0.11.2", "0.10.1"}) == "0.10.1"
    assert shown({"0.11.2", "0.10.0"}) is None
    assert shown({"0.9"}) == "0.9"


def test_the_option_takes_the_place_of_guessing() -> None:
    told = introduced(Settings(rules="0.9"))
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 0, 4), B: (5, 0, 0)}, (A, 0, 1, 4))
    told.ack(B, A)
    told.syn(B, A, {A: (4, 0, 1), B: (7, 0, 0)})
    assert told.cluster.at()[0].predicted == 1


def test_a_gap_and_an_inapplicable_section_are_said() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 0, 9), B: (5, 0, 0)}, (A, 0, 8, [kv("l", 9)]))
    told.ack(B, A)
    told.syn(B, A, {A: (4, 0, 1), B: (7, 0, 0)})
    (gap,) = told.of("gap")
    assert (gap.node_id, gap.observer and gap.observer.node_id, gap.from_version_excluded) == ("n1", "n2", 8)
    told.syn_ack(A, B, {A: (6, 6, 9), B: (7, 0, 0)}, (A, 6, 1, [kv("l", 9)]))
    told.ack(B, A)
    told.syn(B, A, {A: (6, 0, 1), B: (9, 0, 0)})
    assert len(told.of("inapplicable")) == 1
    assert told.cluster.at()[0].predicted == 1


def test_only_a_replica_that_held_something_counts_as_reset() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 3, 4), B: (5, 0, 0)}, (A, 3, 0, [kv("l", 4)]))
    told.ack(B, A)
    told.syn(B, A, {A: (0, 3, 4), B: (7, 0, 0)})
    assert len(told.of("reset")) == 1
    assert told.keys(B, A) == {"l": ("v", 4, True)}
