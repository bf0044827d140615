"""Which key-values a replica holds: its numbers select them among all versions that were sent."""

from __future__ import annotations

from scapy_chitchat.cluster._records import ChitchatId, Section
from scapy_chitchat.cluster.history import NEVER, Extra, History
from scapy_chitchat.cluster.ranges import MOST, add, subtract
from scapy_chitchat.records.classes import KeyValueOp
from tests.cluster.telling import A, B, C, KeyValue, Telling, introduced, kv


def history(*told: tuple[int, int, int, list[KeyValue], int]) -> History:
    """Sections: last_gc_version, from_version_excluded, max_version, key-values, and where the sender stood."""
    made = History()
    for gc, start, reached, key_values, as_of in told:
        made.add(
            Section(ChitchatId(*A.identity()), gc, start, [KeyValueOp(*each) for each in key_values], reached), as_of, 1
        )
    return made


def held(made: History, gc: int, stands_at: int, extra: Extra | None = None) -> dict[str, tuple[int, bool]]:
    found = made.select(gc, stands_at, extra or Extra())
    return {version.key: (version.version, certain) for version, certain in found}


def test_a_replica_between_two_versions_holds_the_older() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1), (0, 1, 5, [kv("k", 5)], 5))
    assert held(made, 0, 4) == {"k": (1, True)}
    assert held(made, 0, 5) == {"k": (5, True)}
    assert held(made, 0, 0) == {}


def test_a_tombstone_replaces_its_value_and_goes_when_it_is_collected() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1), (0, 1, 2, [kv("k", 2, "", "Delete")], 2))
    assert held(made, 0, 2) == {"k": (2, True)}
    assert held(made, 2, 2) == {}
    made.tidy([(2, 2)])
    assert held(made, 2, 2) == {}, "the value does not come back when the tombstone is forgotten"


def test_what_a_section_should_have_listed_and_did_not_is_gone() -> None:
    made = history((0, 0, 2, [kv("k", 1), kv("l", 2)], 2), (5, 0, 6, [kv("l", 2), kv("m", 6)], 6))
    assert held(made, 5, 6) == {"l": (2, True), "m": (6, True)}
    assert held(made, 0, 2) == {"k": (1, True), "l": (2, True)}


def test_a_section_cut_short_leaves_out_what_its_sender_had_replaced() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1), (0, 1, 9, [kv("k", 9)], 9), (4, 0, 3, [kv("l", 3)], 9))
    cut = Extra(cuts=((0, 9),))
    assert held(made, 4, 3, cut) == {"l": (3, True)}
    assert held(made, 0, 3) == {"k": (1, True), "l": (3, True)}


def test_nothing_is_certain_where_nobody_knows_where_the_sender_stood() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1))
    assert held(made, 9, 1, Extra(cuts=((0, NEVER),))) == {"k": (1, False)}


def test_unknown_versions_above_make_uncertain_unless_a_sender_above_them_listed_it() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1))
    assert held(made, 0, 7, Extra(unknown=((3, 7),))) == {"k": (1, False)}
    made.add(Section(ChitchatId(*A.identity()), 8, 0, [KeyValueOp(*kv("k", 1))], 1), 9, 2)
    assert held(made, 0, 7, Extra(unknown=((3, 7),))) == {"k": (1, True)}


def test_two_contents_of_a_version_are_never_certain() -> None:
    made = history((0, 0, 1, [kv("k", 1, "a")], 1), (0, 0, 1, [kv("k", 1, "b")], 1))
    assert held(made, 0, 1) == {"k": (1, False)}


def test_versions_below_a_collection_may_hide_a_tombstone() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1), (4, 2, 6, [kv("m", 6)], 6))
    assert made.unknown(((1, 6),), 6) == ((1, 4),), "only what is above the sender's last_gc_version is told"


def test_tidying_keeps_what_some_replica_holds() -> None:
    made = history((0, 0, 1, [kv("k", 1)], 1), (0, 1, 2, [kv("k", 2)], 2), (0, 2, 3, [kv("k", 3)], 3))
    made.tidy([(1, 0), (3, 0)])
    assert sorted(made.versions) == [1, 3]
    assert held(made, 0, 1) == {"k": (1, True)}


def test_ranges_are_bounded_and_joined_to_the_unknown_side() -> None:
    ranges: tuple[tuple[int, int], ...] = ()
    for low in range(0, 10 * MOST, 4):
        ranges = add(ranges, low, low + 1)
    assert len(ranges) == MOST
    assert ranges[0][0] == 0
    assert ranges[-1] == (10 * MOST - 4, 10 * MOST - 3)
    assert subtract(((0, 2**64 - 1),), 5, 6) == ((0, 5), (6, 2**64 - 1))


def test_memory_does_not_grow_with_the_versions_of_a_key() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    heard = 5
    for version in range(2, 1000):
        heartbeat = 3 + 2 * (version - 1)
        told.syn(A, B, {A: (heartbeat, 0, version), B: (heard, 0, 0)})
        heard += 1
        told.syn_ack(B, A, {A: (heartbeat, 0, version - 1), B: (heard, 0, 0)})
        told.ack(A, B, (A, 0, version - 1, [kv("k", version)]))
        heard += 1
    (community,) = told.cluster._communities.values()
    (made,) = community.histories.values()
    assert len(made.versions) < 200
    assert told.keys(B, A)["k"][:2] == ("v", 999)


def test_a_constant_generation_is_contested_and_never_certain() -> None:
    told = introduced()
    told.syn(B, A, {A: (2, 0, 1), B: (5, 0, 0)})
    told.syn(A, B, {A: (40, 0, 1), B: (5, 0, 0)})
    told.syn(A, B, {A: (2, 0, 1)})  # it began again, as the same run
    assert [event.earlier_generation_id for event in told.of("restarted")] == [1]
    assert told.keys(B, A) == {"k": ("v", 1, False)}
    told.syn(C, A, {C: (2, 0, 0)})
    told.syn_ack(A, C, {A: (3, 0, 1), C: (2, 0, 0)}, (A, 0, 0, [kv("k", 1, "another")]))
    (contested,) = told.of("contested")
    assert (contested.key, contested.version) == ("k", 1)
    assert told.of("contradiction") == []


def test_two_clusters_do_not_mix() -> None:
    told = Telling()
    told.syn(A, B, {A: (2, 0, 1)}, "one")
    told.syn(C, B, {C: (2, 0, 1)}, "two")
    told.syn_ack(B, A, {A: (2, 0, 0), B: (2, 0, 0)})
    told.bad_cluster(B, C)
    (refused,) = told.of("bad-cluster")
    assert (refused.cluster_id, refused.node_id, refused.other_cluster) == ("two", "n3", "one")
    states = {state.cluster_id: {node.node_id for node in state.nodes} for state in told.cluster.at()}
    assert states == {"one": {"n1", "n2"}, "two": {"n3"}}
