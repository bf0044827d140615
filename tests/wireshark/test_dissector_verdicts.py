# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector's expert infos are the findings of checks.py."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scapy_chitchat import (
    Block,
    Chitchat,
    ChitchatAck,
    ChitchatBadCluster,
    ChitchatSyn,
    ChitchatSynAck,
    KeyValueOp,
    NodeDigest,
    NodeOp,
    SetMaxVersionOp,
    findings,
)
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.wireshark.chitchat import UNSEEN
from tests.mutations import Mutator
from tests.support.tsharks import EVERY_DATAGRAM, Tshark, every_tshark, write_capture

LIMIT = 1024 * 1024
"""The dissector's default bound on a stream."""
SEEN = [code for code in CODES if code not in UNSEEN]


def expert_name(code: str) -> str:
    """A finding's filter name."""
    return "chitchat." + code.replace("-", "_")


def experts(tshark: Tshark, capture: Path, *options: str) -> dict[int, list[str]]:
    """The codes of the experts of each frame. Fails on a Lua error."""
    names = ["frame.number", "_ws.lua.error", *map(expert_name, SEEN)]
    wanted = [word for name in names for word in ("-e", name)]
    found = {}
    for line in tshark.run(capture, "-T", "fields", *wanted, *EVERY_DATAGRAM, *options).splitlines():
        number, error, *present = line.split("\t")
        assert not error, f"frame {number}: {error}"
        found[int(number)] = [code for code, there in zip(SEEN, present, strict=True) if there]
    return found


def expected(data: bytes) -> list[str]:
    """The codes of the findings that a dissector can see, in the table's order."""
    codes = {each.code for each in findings(data, limit=LIMIT)}
    return [code for code in SEEN if code in codes]


def check(tshark: Tshark, capture: Path, messages: Sequence[bytes]) -> None:
    found = experts(tshark, write_capture(capture, messages))
    for number, data in enumerate(messages, 1):
        assert found[number] == (expected(data) if data else []), data.hex()


@every_tshark
def test_each_message_has_the_verdict_of_a_node(tshark: Tshark, verdicts: list[dict[str, Any]], tmp_path: Path) -> None:
    messages = [bytes.fromhex(row["hex"]) for row in verdicts]
    found = experts(tshark, write_capture(tmp_path / "verdicts.pcap", messages))
    errors = {code for code in SEEN if CODES[code].severity == "error"}
    for number, (row, data) in enumerate(zip(verdicts, messages, strict=True), 1):
        if data:  # of an empty datagram UDP tells nobody
            assert bool(errors & set(found[number])) == (row["0.13"] is None), row["hex"]
            assert found[number] == expected(data), row["hex"]


@every_tshark
@pytest.mark.parametrize("count", [600, pytest.param(6000, marks=pytest.mark.long)])
def test_many_malformed_messages_in_one_run(tshark: Tshark, tmp_path: Path, count: int) -> None:
    messages: list[bytes] = []
    for _, data in Mutator(seed=5):
        if len(messages) == count:
            break
        if data and len(data) < 65507 and any(each.severity == "error" for each in findings(data, limit=LIMIT)):
            messages.append(data)
    check(tshark, tmp_path / "malformed.pcap", messages)


def special_messages() -> dict[str, bytes]:
    """Messages for every finding that a node would not call an error, and some that are close to one."""
    node, other = NodeOp(node_id="a"), NodeOp(node_id="b", last_gc_version=3)
    entries = [NodeDigest(node_id=name, ip=ip) for name, ip in (("é", "::1"), ("a", "1.2.3.4"), ("a", "1.2.3.4"))]
    names = ["a" * 7 + "b", "a" * 8, "ab", "abc", "abcd", "abcde", "é", "日本"]
    random.Random(3).shuffle(names)
    return {
        "order": bytes(Chitchat(version=1) / ChitchatSyn(digest=entries)),
        "names": bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=name) for name in names])),
        "sorted": bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=name) for name in sorted(names)])),
        "generations": bytes(
            Chitchat()
            / ChitchatSyn(digest=[NodeDigest(generation_id=each) for each in (1, 2**53, 2**53 + 1, 2**64 - 1, 5)])
        ),
        "addresses": bytes(
            Chitchat()
            / ChitchatSyn(
                digest=[NodeDigest(ip=ip, port=port) for ip, port in (("9.9.9.9", 2), ("9.9.9.9", 256), ("::", 1))]
            )
        ),
        "ports": bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(port=256), NodeDigest(port=2)])),
        "reset": bytes(Chitchat() / ChitchatAck(delta=[node, KeyValueOp(version=2), other])),
        "lowered": bytes(Chitchat() / ChitchatAck(delta=[node, SetMaxVersionOp(max_version=2**63), SetMaxVersionOp()])),
        "after lowering": bytes(
            Chitchat()
            / ChitchatAck(delta=[node, SetMaxVersionOp(max_version=9), SetMaxVersionOp(), KeyValueOp(version=1)])
        ),
        "version zero": bytes(Chitchat() / ChitchatAck(delta=[node, KeyValueOp(version=0)])),
        "large versions": bytes(
            Chitchat() / ChitchatAck(delta=[node, KeyValueOp(version=2**53), KeyValueOp(version=2**53 + 1)])
        ),
        "non-ASCII": bytes(
            Chitchat() / ChitchatAck(delta=[node, KeyValueOp(key="é"), KeyValueOp(key="aé", version=2)])
        ),
        "NUL": bytes(Chitchat() / ChitchatAck(delta=[node, KeyValueOp(key="\0", value="a\0b\nc\x1b[2J\u202e")])),
        "trailing": bytes(Chitchat() / ChitchatBadCluster()) + b"more",
        "large with little digest": bytes(Chitchat() / ChitchatBadCluster()) + bytes(60000),
        **digests_around_the_limit(),
        "surrogate": bytes(Chitchat() / ChitchatSyn(cluster_id="\udced\udca0\udc80")),
        "overlong": bytes(Chitchat() / ChitchatSyn(cluster_id="\udcc0\udc80")),
        "too many": bytes(Chitchat() / ChitchatSyn(digest_count=65535, digest=entries)),
        "stream of nothing": bytes(
            Chitchat() / ChitchatAck(delta_blocks=[Block(type=2), Block(type=1), Block(type=0)])
        ),
    }


def digests_around_the_limit() -> dict[str, bytes]:
    """Digests of 58,956 and 58,957 bytes, in V0, and in V1 with an odd last block."""
    messages = {}
    for size in (58_956, 58_957):
        name = "x" * (size - 2 - len(bytes(NodeDigest(node_id=""))))
        messages[f"V0, {size}"] = bytes(Chitchat() / ChitchatSyn(digest=[NodeDigest(node_id=name)]))
        entry = bytes(NodeDigest(node_id=name[: -3 * 4 + 1]))
        pieces = [entry[at : at + 16384] for at in range(0, len(entry), 16384)]
        blocks = [*(Block(type=2, data=piece) for piece in pieces), Block(type=0)]
        messages[f"V1, {size}"] = bytes(Chitchat(version=1) / ChitchatSynAck(digest_blocks=blocks))
    return messages


def test_the_digests_around_the_limit_are_on_both_sides_of_it() -> None:
    codes = {name: [each.code for each in findings(data)] for name, data in digests_around_the_limit().items()}
    near = {name for name, found in codes.items() if "digest-near-limit" in found}
    assert near == {name for name in codes if name.endswith("58957")}


@every_tshark
def test_findings_that_few_messages_have(tshark: Tshark, tmp_path: Path) -> None:
    check(tshark, tmp_path / "special.pcap", list(special_messages().values()))


@every_tshark
def test_texts_are_the_same_for_every_message_and_details_stand_in_a_field(tshark: Tshark, tmp_path: Path) -> None:
    messages = list(special_messages().values())
    capture = write_capture(tmp_path / "special.pcap", messages)
    fields = ("-e", "_ws.expert.message", "-e", "chitchat.finding.detail")
    lines = tshark.run(capture, "-T", "fields", "-E", "aggregator=|", *fields).split("\n")
    details = 0
    for data, line in zip(messages, lines, strict=False):
        seen = [each for each in findings(data, limit=LIMIT) if each.code not in UNSEEN]
        texts, shown = (cell.split("|") if cell else [] for cell in line.split("\t"))
        ours = [
            text for text in texts if text != "Trailing stray characters"
        ]  # Wireshark's own word on a NUL in a text
        assert sorted(ours) == sorted(each.text for each in seen)
        assert len(shown) == len([each for each in seen if each.detail])
        details += len(shown)
    assert details >= 20


@pytest.mark.long
@every_tshark
def test_a_capture_that_cuts_messages_gives_no_verdict_about_the_rest(tshark: Tshark, tmp_path: Path) -> None:
    entries = [NodeDigest(node_id=f"n{index}") for index in range(9)]
    data = [bytes(Chitchat() / ChitchatSyn(digest=entries, cluster_id="prod")), bytes(Chitchat() / ChitchatAck())]
    for cut in range(1, len(data[1]) + 1):
        found = experts(tshark, write_capture(tmp_path / f"{cut}.pcap", data, cut=cut))
        assert found[1] == ["cut"]
        assert found[2] == ["cut"] if cut < len(data[1]) else found[2] in ([], ["cut"])


@every_tshark
def test_a_stream_is_not_read_beyond_the_limit(tshark: Tshark, tmp_path: Path) -> None:
    operations = bytes(NodeOp()) + bytes(SetMaxVersionOp(max_version=1)) * 10_000
    message = Chitchat() / ChitchatAck(delta_blocks=[Block(type=2, data=operations[:60000]), Block(type=0)])
    capture = write_capture(tmp_path / "limit.pcap", [bytes(message)])
    assert experts(tshark, capture, "-o", "chitchat.stream_limit:10")[1] == ["stream-limit"]
    assert experts(tshark, capture)[1] == ["field-short"] if len(operations[:60000]) % 9 else []


@every_tshark
@pytest.mark.parametrize("code", SEEN)
def test_severity_and_text_are_those_of_the_table(tshark: Tshark, code: str) -> None:
    lines = [
        line
        for line in (Path(__file__).parents[2] / "lua" / "chitchat.lua").read_text().splitlines()
        if f'finding("{code}"' in line
    ]
    severity = {"error": "ERROR", "warning": "WARN", "note": "NOTE"}[CODES[code].severity]
    assert lines == [f'finding("{code}", "{severity}", "{CODES[code].text}")']
