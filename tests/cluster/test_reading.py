"""What an observer has read: proven by its answers, counted by its heartbeat, or lost, or not captured."""

from __future__ import annotations

from scapy_chitchat.cluster import Settings
from tests.cluster.telling import A, B, C, Telling, introduced, kv


def test_what_was_delivered_is_presumed_until_the_heartbeat_proves_it() -> None:
    told = introduced()
    assert told.replica(B, A).max_version == 1
    assert told.replica(B, A).presumed
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})  # the Ack, and a round
    assert told.replica(B, A).max_version == 1
    assert not told.replica(B, A).presumed
    assert told.keys(B, A) == {"k": ("v", 1, True)}
    assert told.cluster.at()[0].predicted == 1


def test_a_statement_wins_over_what_was_presumed() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 0), B: (4, 0, 0)})  # a round only: the Ack was not read
    assert told.replica(B, A).max_version == 0
    assert told.keys(B, A) == {}


def test_a_message_older_than_one_proven_read_is_lost() -> None:
    told = introduced()
    told.syn(A, B, {A: (4, 0, 1), B: (3, 0, 0)})
    told.syn_ack(B, A, {A: (4, 0, 0), B: (4, 0, 0)}, (B, 0, 0, 0))  # one read: the Syn, so not the Ack before it
    (lost,) = told.of("not-read")
    assert (lost.node_id, lost.type, lost.source) == ("n2", "Ack", A.address)
    assert told.replica(B, A).max_version == 0


def test_what_was_read_and_not_captured_is_counted() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (8, 0, 0)})  # the Ack, a round, and three more
    (missing,) = told.of("not-captured")
    assert (missing.node_id, missing.count) == ("n2", 3)
    assert told.cluster.estimates()[0].not_captured == 3


def test_rounds_without_a_syn_are_no_messages() -> None:
    for seconds, missing in ((5, 0), (3, 2)):
        told = introduced(Settings(interval=1.0))
        told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
        told.wait(seconds * 1000)
        told.syn(B, A, {A: (2, 0, 1), B: (10, 0, 0)})  # five rounds
        assert told.cluster.estimates()[0].not_captured == missing


def test_equal_syns_of_one_round_are_one_round() -> None:
    told = introduced()
    for to in (A, C, A):
        told.syn(B, to, {A: (2, 0, 1), B: (5, 0, 0)})
    assert told.of("not-captured") == []
    told.syn_ack(A, B, {A: (4, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (5, 0, 1), B: (5, 0, 0)})
    assert told.of("not-captured") == []
    assert told.of("not-read") == []


def test_what_came_unseen_is_unknown_and_never_certain() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 9), B: (5, 0, 0)})  # B has versions 2 to 9 from somewhere
    replica = told.replica(B, A)
    assert (replica.max_version, replica.unknown_versions) == (9, [(1, 9)])
    assert told.keys(B, A) == {"k": ("v", 1, False)}
    assert told.cluster.at()[0].predicted == 0


def test_others_sections_make_unknown_versions_known() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 9), B: (5, 0, 0)})
    told.syn(C, A, {C: (2, 0, 0)})
    told.syn_ack(A, C, {A: (5, 0, 9), B: (5, 0, 0), C: (2, 0, 0)}, (A, 0, 0, [kv("k", 1), kv("l", 9)]))
    assert told.replica(B, A).unknown_versions == []
    assert told.keys(B, A) == {"k": ("v", 1, True), "l": ("v", 9, True)}


def test_a_node_that_is_not_yet_stated_takes_nothing() -> None:
    told = Telling()
    told.ack(A, B, (A, 0, 5, [kv("k", 6)]))
    told.syn(B, A, {A: (900, 0, 6), B: (800, 0, 3)})
    replica = told.replica(B, A)
    assert (replica.max_version, replica.unknown_versions) == (6, [(0, 5)])
    assert told.keys(B, A) == {"k": ("v", 6, True)}, "the contents of the Ack before the first Syn are not lost"
    assert told.cluster.at()[0].predicted is None


def test_versions_are_never_counted_through() -> None:
    told = introduced()
    most = 2**64 - 1
    told.syn(B, A, {A: (2, 0, most), B: (5, 0, most)})
    told.ack(B, A, (B, most - 1, 0, [kv("x", most)]))
    assert told.replica(B, A).unknown_versions == [(1, most)]
