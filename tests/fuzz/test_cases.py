# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases: the same for a seed, of every strategy, and what is in them."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import islice
from pathlib import Path

import pytest

from scapy_chitchat import DecodeError, decode, encode, read_messages
from scapy_chitchat.fuzz import STRATEGIES, Context, case, cases
from scapy_chitchat.fuzz.building import entry, syn_ack
from scapy_chitchat.fuzz.draw import PEOPLE, Draw
from scapy_chitchat.records.classes import Ack, NodeOp
from scapy_chitchat.records.identity import ChitchatId
from scapy_chitchat.replay.reach import names_elsewhere
from scapy_chitchat.replay.rewrite import canonical_address
from scapy_chitchat.wire.protocol import MAX_DATAGRAM
from tests.fuzz.commands import CONTEXT, run
from tests.support import PCAPS


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(islice(cases(3, (), CONTEXT), 200)) == list(islice(cases(3, (), CONTEXT), 200))
    assert list(islice(cases(3, (), CONTEXT), 200)) != list(islice(cases(4, (), CONTEXT), 200))
    later = next(cases(3, (), CONTEXT, first=150))
    assert later == list(islice(cases(3, (), CONTEXT), 151))[150] == case(*later[:3], CONTEXT)


@pytest.mark.long
def test_neither_hashing_nor_what_ran_before_changes_a_case() -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        done = run("generate", "-n", "300", "--seed", "9", "--json", env={**os.environ, "PYTHONHASHSEED": hash_seed})
        digests.add(hashlib.sha256(done.stdout.encode()).hexdigest())
    assert len(digests) == 1


def test_a_draw_is_the_same_in_every_python() -> None:
    draw = Draw(1, CONTEXT)
    drawn = [draw.below(1000), draw.number(), draw.text(), *draw.pick(PEOPLE), *map(tuple, draw.some(PEOPLE, 4))]
    drawn.append(draw.data(5))
    assert hashlib.sha256(repr(drawn).encode()).hexdigest()[:16] == "3e71903eb43ae2a7"


@pytest.mark.long
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_makes_messages_that_fit_into_a_datagram(name: str) -> None:
    count = 12 if name == "limit" else 100
    for number in range(count):
        made = case(name, 1, number, CONTEXT)
        assert made.messages
        assert all(len(message) <= MAX_DATAGRAM for message in made.messages)


@pytest.mark.long
@pytest.mark.parametrize("name", [each.name for each in STRATEGIES.values() if each.structured])
def test_structured_cases_get_past_header_and_digest(name: str) -> None:
    count = 12 if name == "limit" else 200
    past = total = 0
    for message in (message for number in range(count) for message in case(name, 2, number, CONTEXT).messages):
        total += 1
        try:
            decode(message)
            past += 1
        except DecodeError as error:
            past += "digest" in error.partial or error.stream == "delta"
    assert past >= 0.6 * total


def test_a_message_is_cut_at_every_byte() -> None:
    sizes = {len(case("truncation", 1, number, CONTEXT).messages[0]) for number in range(256)}
    assert sizes == set(range(max(sizes) + 1))


def test_captured_messages_are_changed() -> None:
    captured = tuple(each.data for each in islice(read_messages(PCAPS / "v0-three-nodes.pcap"), 20))
    made = [case("mutation", 1, number, Context("prod", captured=captured)).messages[0] for number in range(100)]
    assert sum(b"node-0\x3e" in data or b"node-1" in data or b"prod" in data for data in made) > 40


def test_the_receivers_own_id_is_used() -> None:
    made = b"".join(b"".join(case("receiver", 1, number, CONTEXT).messages) for number in range(50))
    assert b"own" in made


def test_cases_that_would_make_a_node_gossip_elsewhere_are_known() -> None:
    for address, elsewhere in {
        "10.0.0.1:1": True,
        "8.8.8.8:1": True,
        "[2001:db8::1]:1": True,
        "[::ffff:8.8.8.8]:1": True,
        "239.1.1.1:1": True,
        "224.0.1.1:1": True,
        "224.1.0.1:1": True,
        "[ff03::1]:1": True,
        "[ff05::2]:1": True,
        "[ff0e::1]:1": True,
        "[ff15::1]:1": True,
        "0.0.0.0:0": True,
        "0.0.0.0:7280": True,
        "[::]:7280": True,
        "[::ffff:0.0.0.0]:7280": True,
        "255.255.255.255:1": True,
        "224.0.0.1:1": True,
        "[ff01::1]:1": True,
        "[ff02::1]:1": True,
        "[fe80::1]:1": True,
        "169.254.1.1:1": True,
        "[::10.0.0.1]:1": True,
        "[64:ff9b::a00:1]:1": True,
        "127.3.2.1:1": False,
        "[::1]:1": False,
        "[::ffff:127.0.0.1]:1": False,
    }.items():
        node = ChitchatId("n", 1, canonical_address(address))
        assert names_elsewhere(encode(syn_ack([entry(node)], ()))) is elsewhere, address
        delta = (NodeOp(*node, last_gc_version=0, from_version_excluded=0),)
        assert names_elsewhere(encode(Ack(delta=delta))) is elsewhere, address


@pytest.mark.long
def test_generated_cases_as_a_capture_and_as_json(tmp_path: Path) -> None:
    path = tmp_path / "cases.pcapng"
    assert run("generate", "--seed", "4", "-n", "40", "-w", path).returncode == 0
    lines = [json.loads(line) for line in run("generate", "--seed", "4", "-n", "40", "--json").stdout.splitlines()]
    assert len(lines) == 40
    wanted = [bytes.fromhex(message) for line in lines for message in line["messages"]]
    assert [each.data for each in read_messages(path, [7280])] == wanted
    first = lines[0]
    several = len(first["messages"])
    name = f"{first['strategy']} seed=4 case=0" + (f" message=1/{several}" if several > 1 else "")
    assert name.encode() in path.read_bytes()
    assert "sequences" in run("list").stdout
