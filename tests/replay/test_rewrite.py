# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages rewritten for another cluster, other nodes, addresses, times and the other version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import (
    Chitchat,
    ChitchatAck,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    decode,
    encode,
    findings,
    read_messages,
)
from scapy_chitchat.records import classes
from scapy_chitchat.replay.rewrite import (
    RewriteError,
    Rewriter,
    Rewriting,
    canonical_address,
    generation_now,
    map_address,
    parse_address_mapping,
    parse_mapping,
)
from tests.support.typed import decoded, of_type

DIGEST = [
    NodeDigest(node_id="a", generation_id=1, ip="10.0.0.1", port=7280, heartbeat=5, max_version=2),
    NodeDigest(node_id="b", generation_id=2, ip="::1", port=7281, heartbeat=2**64 - 1, max_version=3),
]
DELTA = [NodeOp(node_id="a", generation_id=1, ip="10.0.0.1", port=7280), KeyValueOp(key="k", value="v", version=1)]
SYN = bytes(Chitchat() / ChitchatSyn(cluster_id="prod", digest=DIGEST))
SYN_ACK = bytes(Chitchat(version=1) / ChitchatSynAck(digest=DIGEST, delta=DELTA))


def rewritten(data: bytes, **wish: Any) -> Any:
    return decode(Rewriter(Rewriting(**wish)).bytes_of(decode(data), data))


def test_what_does_not_change_keeps_its_bytes() -> None:
    loose = SYN_ACK + b"trailing"
    for wish in ({"cluster_id": "x"}, {"nodes": {"z": "y"}}, {"version": 1}, {"fill_gaps": True}):
        assert Rewriter(Rewriting(**wish)).bytes_of(decode(loose), loose) == loose


def test_every_captured_message_survives_a_change_and_its_undoing(capture: Path) -> None:
    there = Rewriter(Rewriting(cluster_id="else", nodes={"node-0": "zz"}, addresses={"127.0.0.1": "10.9.8.7"}))
    back = Rewriter(Rewriting(cluster_id="prod", nodes={"zz": "node-0"}, addresses={"10.9.8.7": "127.0.0.1"}))
    for captured in list(read_messages(capture))[:300]:
        if captured.message is None or getattr(captured.message, "cluster_id", "prod") != "prod":
            continue
        changed = there.bytes_of(captured.message, captured.data)
        assert not {"error", "warning"} & {each.severity for each in findings(changed)} or findings(captured.data)
        assert decode(back.bytes_of(decode(changed), changed)) == captured.message


def test_the_cluster_id_of_a_syn() -> None:
    assert rewritten(SYN, cluster_id="laptop").cluster_id == "laptop"


def test_nodes_and_addresses_change_in_digests_and_deltas_alike() -> None:
    message = rewritten(SYN_ACK, nodes={"a": "x"}, addresses={"10.0.0.1": "127.0.0.9", "[::1]:7281": "[::2]:1"})
    entries = {(entry.node_id, entry.gossip_advertise_addr) for entry in message.digest}
    assert entries == {("x", "127.0.0.9:7280"), ("b", "[::2]:1")}
    assert (message.delta[0].node_id, message.delta[0].gossip_advertise_addr) == ("x", "127.0.0.9:7280")
    assert message.delta[1].key == "k"


def test_a_rewritten_digest_is_in_a_nodes_order() -> None:
    message = rewritten(SYN, nodes={"a": "z"})
    assert [entry.node_id for entry in message.digest] == ["b", "z"]


def test_recoding_changes_the_digest_alone() -> None:
    old, new = decoded(classes.SynAck, SYN_ACK), rewritten(SYN_ACK, version=0)
    assert (old.version, new.version) == (1, 0)
    assert (old.digest, old.delta) == (new.digest, new.delta)
    assert rewritten(encode(new), version=1) == old


def test_heartbeats_rise_with_each_pass_and_stop_at_the_largest() -> None:
    rewriter = Rewriter(Rewriting(heartbeat_offset=10))
    assert [entry.heartbeat for entry in of_type(classes.Syn, rewriter.rewrite(decode(SYN))).digest] == [15, 2**64 - 1]
    rewriter.next_pass()
    assert of_type(classes.Syn, rewriter.rewrite(decode(SYN))).digest[0].heartbeat == 25


def test_new_generations_keep_their_order_and_rise_with_each_pass() -> None:
    rewriter = Rewriter(Rewriting(new_generation=True))
    first: Any = rewriter.rewrite(decode(SYN_ACK))
    a, b = (entry.generation_id for entry in first.digest)
    assert b == a + 1
    assert first.delta[0].generation_id == a
    rewriter.next_pass()
    assert of_type(classes.SynAck, rewriter.rewrite(decode(SYN_ACK))).digest[0].generation_id > a


def test_a_generation_keeps_its_unit() -> None:
    assert 1e9 < generation_now(1_700_000_000) < 1e10
    assert 1e18 < generation_now(1_700_000_000_000_000_000) < 1e19


def test_two_sections_of_one_node_are_refused() -> None:
    data = bytes(Chitchat() / ChitchatAck(delta=[NodeOp(node_id="a"), NodeOp(node_id="b")]))
    with pytest.raises(RewriteError, match="two nodes of one delta became node 'b'"):
        Rewriter(Rewriting(nodes={"a": "b"})).bytes_of(decode(data), data)


def test_what_does_not_fit_any_more_is_refused() -> None:
    entries = [NodeDigest(node_id=f"node-{index}", ip="10.0.0.1") for index in range(2000)]
    data = bytes(Chitchat(version=1) / ChitchatSyn(digest=entries))
    with pytest.raises(RewriteError, match="too large"):
        Rewriter(Rewriting(version=0)).bytes_of(decode(data), data)


def sections_of(*messages: Any) -> list[tuple[int, int]]:
    """from_version_excluded and last_gc_version of all sections, with gaps filled."""
    rewriter = Rewriter(Rewriting(fill_gaps=True))
    found: list[tuple[int, int]] = []
    for body in messages:
        message: Any = rewriter.rewrite(decode(bytes(Chitchat() / body)))
        delta = getattr(message, "delta", ())
        found += [(op.from_version_excluded, op.last_gc_version) for op in delta if hasattr(op, "last_gc_version")]
    return found


def test_a_delta_behind_a_gap_starts_where_its_reader_stands() -> None:
    entry = NodeDigest(node_id="a")

    def ack(since: int, version: int, collected: int = 0) -> ChitchatAck:
        node = NodeOp(node_id="a", from_version_excluded=since, last_gc_version=collected)
        return ChitchatAck(delta=[node, KeyValueOp(key="k", version=version)])

    assert sections_of(ack(5, 6)) == [(5, 0)], "a node that no digest has named is ignored in any case"
    syn = ChitchatSyn(digest=[entry])
    assert sections_of(syn, ack(5, 6), ack(6, 7), ack(9, 10)) == [(0, 0), (6, 0), (7, 0)]
    assert sections_of(syn, ack(5, 6), ack(20, 21, collected=15)) == [(0, 0), (0, 15)], "it resets"
    assert sections_of(syn, ack(5, 6, collected=3), ack(6, 7, collected=3)) == [(0, 3), (6, 3)]


def section(since: int, version: int, collected: int = 0) -> ChitchatAck:
    node = NodeOp(node_id="a", from_version_excluded=since, last_gc_version=collected)
    return ChitchatAck(delta=[node, KeyValueOp(key="k", version=version)])


@pytest.mark.parametrize(
    ("held", "since", "collected", "expected"),
    [
        # what the reader holds: up to version 10, collected up to 4
        pytest.param((10, 4), 8, 4, 8, id="behind what is held: kept"),
        pytest.param((10, 4), 10, 4, 10, id="where the reader stands: kept"),
        pytest.param((10, 4), 11, 4, 10, id="a gap of one: from where the reader stands"),
        pytest.param((10, 4), 10, 7, 10, id="collected behind what is known, but not behind what is held: no reset"),
        pytest.param((10, 4), 12, 7, 10, id="the same with a gap"),
        pytest.param((10, 4), 10, 10, 10, id="collected just as far as is held: no reset"),
        pytest.param((10, 4), 10, 11, 0, id="collected one further: a reset, which starts at 0"),
        pytest.param((10, 4), 0, 11, 0, id="a reset that starts at 0 as it is"),
        pytest.param((10, 12), 11, 11, 10, id="collected less than is known, though more than is held: no reset"),
    ],
)
def test_a_section_is_moved_only_where_its_reader_would_ignore_it(
    held: tuple[int, int], since: int, collected: int, expected: int
) -> None:
    reached, known = held
    messages = (ChitchatSyn(digest=[NodeDigest(node_id="a")]), section(0, reached, known))
    assert sections_of(*messages, section(since, 20, collected))[-1] == (expected, collected)


def test_a_readers_version_never_falls() -> None:
    syn = ChitchatSyn(digest=[NodeDigest(node_id="a")])
    assert sections_of(syn, section(0, 9), section(0, 5), section(20, 21))[-1] == (9, 0)


def test_after_a_reset_the_reader_holds_what_the_section_held() -> None:
    syn = ChitchatSyn(digest=[NodeDigest(node_id="a")])
    assert sections_of(syn, section(0, 9), section(0, 30, 20), section(40, 41, 20))[-1] == (30, 20)
    assert sections_of(syn, section(0, 9), section(0, 30, 20), section(40, 41, 25))[-1] == (30, 25), "no reset again"


def test_mappings_are_parsed() -> None:
    assert parse_mapping(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    assert parse_address_mapping(["10.0.0.1=::1", "[0::1]:5=1.2.3.4:6"]) == {"10.0.0.1": "::1", "[::1]:5": "1.2.3.4:6"}
    for pairs in (["a"], ["=b"], ["a=b", "a=c"]):
        with pytest.raises(ValueError, match=r"not OLD=NEW|mapped twice"):
            parse_mapping(pairs)
    for wrong in ("host", "1.2.3", "1.2.3.4:65536", "[::1]:x"):
        with pytest.raises(ValueError, match=r"port|address"):
            canonical_address(wrong)


def test_a_mapping_with_a_port_goes_before_one_without() -> None:
    mapping = {"10.0.0.1": "127.0.0.1", "10.0.0.1:7": "127.0.0.2", "10.0.0.3": "127.0.0.3:9"}
    assert map_address("10.0.0.1:8", mapping) == "127.0.0.1:8"
    assert map_address("10.0.0.1:7", mapping) == "127.0.0.2:7"
    assert map_address("10.0.0.3:8", mapping) == "127.0.0.3:9"
    assert map_address("10.0.0.4:8", mapping) == "10.0.0.4:8"
