"""What an engineer should look at: each trouble shows, and its opposite does not."""

from __future__ import annotations

import os

from scapy_chitchat.cluster import Settings
from tests.cluster.telling import A, B, C, Telling, Who, introduced, kv


def test_empty_sections_again_and_again_are_stuck() -> None:
    told = introduced()
    for turn in range(3):
        assert told.of("stuck") == []
        told.syn(B, A, {A: (2, 0, 1), B: (5 + turn, 0, 0)})
        told.syn_ack(A, B, {A: (4 + turn, 0, 9), B: (5 + turn, 0, 0)}, (A, 0, 1, []))
    (stuck,) = told.of("stuck")
    assert (stuck.node_id, stuck.behind) == ("n1", 8)


def test_no_answer_in_time_is_said_once() -> None:
    told = introduced()
    told.syn(B, C, {A: (2, 0, 1), B: (5, 0, 0)})
    told.wait(5000)
    told.syn(B, A, {A: (2, 0, 1), B: (6, 0, 0)})
    (waited,) = told.of("unanswered")
    assert (waited.node_id, waited.to, waited.type) == ("n2", C.address, "Syn")


def test_odd_addresses() -> None:
    told = Telling()
    nowhere, portless = Who(4, advertised="0.0.0.0:7280"), Who(5, advertised="10.0.0.1:0")
    twin = Who(6, advertised=A.address)
    told.syn(A, B, {A: (2, 0, 0), nowhere: (1, 0, 0), portless: (1, 0, 0), twin: (1, 0, 0)})
    assert {event.node_id: event.why for event in told.of("odd-address")} == {
        "n4": "an unspecified address",
        "n5": "port 0",
        "n6": "n1 advertises it, too",
    }


def test_loopback_seen_from_another_host() -> None:
    told = Telling()
    told.syn(A, B, {A: (2, 0, 0)}, source="10.0.0.7:7280")
    (odd,) = told.of("odd-address")
    assert odd.why == "a loopback address, and it speaks from 10.0.0.7:7280"


def test_behind_address_translation_the_speaker_is_the_entry_that_rises() -> None:
    told = introduced()
    mover = Who(7, advertised="10.0.0.7:7280")
    for turn in range(3):
        said = {A: (4, 0, 1), B: (4, 0, 0), mover: (10 + turn, 0, 3)}
        told.syn(mover, A, said, source="192.0.2.1:4000")
    assert told.replica(mover, A).max_version == 1


def test_a_restart_is_a_higher_generation() -> None:
    told = introduced()
    told.syn(Who(1, generation=5), B, {Who(1, generation=5): (2, 0, 0)})
    (again,) = told.of("restarted")
    assert (again.generation_id, again.earlier_generation_id) == (5, 1)
    runs = {(node.node_id, node.generation_id): node.run for node in told.cluster.at()[0].nodes}
    assert runs == {("n1", 1): "earlier", ("n1", 5): "current", ("n2", 1): "current"}


def test_an_owner_that_goes_back_contradicts_itself() -> None:
    told = introduced()
    told.syn(A, B, {A: (50, 0, 9), B: (3, 0, 0)})
    assert told.of("contradiction") == []
    told.syn(A, B, {A: (60, 0, 8), B: (3, 0, 0)})
    (going_back,) = told.of("contradiction")
    assert going_back.what == "its max_version was 9 (frame 4), now 8"
    told.syn(A, B, {A: (55, 0, 8), B: (3, 0, 0)})
    assert told.of("contradiction")[1].what == "its heartbeat was 60 (frame 5), now 55"


def test_nobody_knows_more_of_a_run_than_itself() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 7), B: (5, 0, 0)})
    told.syn(A, B, {A: (5, 0, 6), B: (3, 0, 0)})
    (ahead,) = told.of("contradiction")
    assert ahead.what == "another node had its version 7 (frame 4), itself is at 6"


def test_nobody_has_a_higher_heartbeat_of_a_run_than_itself() -> None:
    told = introduced()
    told.syn(B, A, {A: (9, 0, 1), B: (5, 0, 0)})
    told.syn(A, B, {A: (9, 0, 1), B: (3, 0, 0)})
    assert told.of("contradiction") == []
    told.syn(B, A, {A: (12, 0, 1), B: (6, 0, 0)})
    told.syn(A, B, {A: (11, 0, 1), B: (3, 0, 0)})
    (ahead,) = told.of("contradiction")
    assert ahead.what == "another node had its heartbeat 12 (frame 6), its own is 11"


def test_a_start_with_a_lower_generation_is_a_contradiction() -> None:
    told = introduced()
    newer, older = Who(1, generation=5), Who(1, generation=3)
    told.syn(newer, B, {newer: (2, 0, 0)})
    assert told.of("contradiction") == []
    told.syn(older, B, {older: (2, 0, 0)})
    (back,) = told.of("contradiction")
    assert back.what == "its generation_id was 5 (frame 4), and it is started with 3"


def _crowd(count: int) -> dict[Who, tuple[int, int, int]]:
    return {Who(9, name=f"{number:0>200}"): (5, 0, 0) for number in range(count)}


def test_a_syn_acks_digest_is_measured_without_its_delta() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn_ack(A, B, {A: (4, 0, 9), B: (5, 0, 0)}, (A, 0, 1, [kv("l", 9, os.urandom(31_000).hex())]))
    assert told.of("digest-near-limit") == []
    for turn in range(2):
        told.syn_ack(A, B, {A: (5 + turn, 0, 9), B: (5, 0, 0)} | _crowd(250))
        told.syn(A, B, {A: (7 + turn, 0, 9), B: (5, 0, 0)} | _crowd(250))
    (near,) = told.of("digest-near-limit")
    assert (near.node_id, near.entries) == ("n1", 252)


def test_an_answer_that_fits_no_datagram_is_never_sent() -> None:
    for size, oversized in ((100, 0), (40_000, 1)):
        told = introduced()
        told.syn(C, A, {C: (2, 0, 0)})
        told.syn_ack(A, C, {A: (3, 0, 2), C: (2, 0, 0)}, (A, 0, 0, [kv("k", 1), kv("l", 2, "v" * size)]))
        told.syn(A, C, {A: (4, 0, 3), C: (2, 0, 0)})
        told.ack(A, B, (A, 0, 2, [kv("m", 3, "v" * size)]))
        told.syn(B, A, {B: (5, 0, 0)})
        told.syn(A, C, {A: (6, 0, 3), B: (5, 0, 0), C: (2, 0, 0)})  # a round, and the Syn read
        assert [event.to for event in told.of("oversized-answer")] == [B.address] * oversized


def test_equal_syn_acks_prove_doubled_frames() -> None:
    told = introduced()
    for _ in range(2):
        told.syn_ack(A, B, {A: (5, 0, 1), B: (3, 0, 0)})
    for _ in range(2):
        told.ack(B, A)
    assert told.cluster.estimates()[0].doubled == 2
    assert told.cluster.at()[0].messages == 5


def test_equal_acks_alone_prove_nothing() -> None:
    told = introduced()
    for _ in range(2):
        told.ack(B, A)
    assert told.cluster.estimates()[0].doubled == 0
    assert told.cluster.at()[0].messages == 5


def test_a_followed_key_shows_its_way_and_who_is_behind() -> None:
    told = introduced(Settings(follow=("k*", "n1")))
    told.syn(C, B, {C: (2, 0, 0)})
    told.syn_ack(B, C, {A: (2, 0, 1), B: (5, 0, 0), C: (2, 0, 0)}, (A, 0, 0, [kv("k", 1)]))
    told.syn(C, A, {A: (2, 0, 0), B: (5, 0, 0), C: (3, 0, 0)})
    told.syn_ack(A, C, {A: (4, 0, 2), B: (5, 0, 0), C: (3, 0, 0)}, (A, 0, 0, [kv("k", 1), kv("kk", 2)]))
    told.ack(C, A)
    told.syn(C, B, {A: (4, 0, 2), B: (5, 0, 0), C: (5, 0, 0)})
    first, second = told.cluster.followed()
    assert (first.key, first.version, [rung.observer.node_id for rung in first.rungs]) == ("k", 1, ["n2"])
    assert second.key == "kk"
    assert [(rung.observer.node_id, rung.time is not None, rung.why) for rung in second.rungs] == [
        ("n3", True, None),
        ("n2", False, "no-round"),
    ]


def test_events_and_states_are_json_with_the_captures_decimals() -> None:
    told = introduced()
    assert told.events[0].as_json().startswith(b'{"time":1800000000.001000000,"frame":1,"event":"joined"')
    assert b'"time":1800000000.003000000' in told.cluster.at()[0].as_json()
