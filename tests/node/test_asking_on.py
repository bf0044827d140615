# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes of real nodes that hold more than an answer does: all of it is told, and the nodes are left as they were."""

from __future__ import annotations

import json
import random
import socket
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scapy_chitchat import Chitchat, ChitchatAck, ChitchatSynAck, KeyValueOp, NodeDigest, NodeOp
from scapy_chitchat.node.probe import Answer, NoAnswerError, probe
from scapy_chitchat.node.told import ToldMember
from tests.support.peers import RunningNodes, eventually, free_port, running, why_no_peer

COMMAND = [sys.executable, "-c", "from scapy_chitchat.cli import main; main()"]
NO_PEER = why_no_peer()
pytestmark = [
    pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER),
    pytest.mark.long,  # real nodes with more than an answer holds
]

EACH = [("0.9", 0), ("0.10", 0), ("0.11", 0), ("0.13", 0), ("0.13", 1)]
"""Versions, and the protocol version that they are set to."""
each_version = pytest.mark.parametrize(("version", "protocol"), EACH)

QUIET = 60_000
"""A gossip interval that no test waits for."""

TOO_LARGE = 65_480
"""Bytes of a value that with its key and its node's id fits no datagram."""


def text(size: int, source: random.Random) -> str:
    """Text that does not pack well."""
    return "".join(source.choices(string.ascii_letters + string.digits, k=size))


def keys(count: int, size: int) -> dict[str, str]:
    source = random.Random(count)
    return {f"key-{number}": text(size, source) for number in range(count)}


def as_told(members: list[ToldMember]) -> dict[Any, Any]:
    """What was told of each member."""
    return {
        member.chitchat_id: (
            member.max_version,
            member.last_gc_version,
            {(each.key, each.value, each.version, each.status) for each in member.keys},
        )
        for member in members
    }


def as_held(nodes: RunningNodes, name: str) -> dict[Any, Any]:
    """What a node holds of each member, in the same way."""
    return {
        (node["node_id"], node["generation_id"], node["gossip_advertise_addr"]): (
            node["max_version"],
            node["last_gc_version"],
            {(each["key"], each["value"], each["version"], each["status"]) for each in node["key_values"]},
        )
        for node in nodes.ask(name, "state")["nodes"]
    }


# --- all of it ---


@each_version
@pytest.mark.parametrize(("count", "size"), [(601, 250), (2000, 100)])
def test_all_keys_are_told(version: str, protocol: int, count: int, size: int) -> None:
    node = {"version": version, "protocol": protocol, "node_id": "full", "keys": keys(count, size)}
    with running(node) as nodes:
        answer = probe(nodes.address["full"], "test", version=protocol, timeout=5)
        assert answer.answers > 1
        assert answer.is_complete
        assert as_told(answer.members) == as_held(nodes, "full")
        assert len(answer.members[0].keys) == count
        assert answer.members[0].told_up_to == count


@pytest.mark.parametrize(("version", "protocol"), [("0.9", 0), ("0.13", 1)])
def test_all_members_are_told(version: str, protocol: int) -> None:
    port = free_port()
    plain = {"version": version, "protocol": protocol, "interval": 500, "seeds": [f"127.0.0.1:{port}"]}
    names = [f"node-{number}" for number in range(16)]
    members = [{**plain, "node_id": name, "keys": keys(400, 10 * number)} for number, name in enumerate(names, 1)]
    members[0]["listen"] = f"127.0.0.1:{port}"
    with running(*members) as nodes:
        assert eventually(lambda: all(holds_all(nodes, name) for name in names), 90)
        answer = probe(nodes.address[names[0]], "test", version=protocol, timeout=5)
        assert answer.is_complete
        assert as_told(answer.members) == as_held(nodes, names[0])


def holds_all(nodes: RunningNodes, name: str) -> bool:
    held = as_held(nodes, name)
    return len(held) == 16 and all(len(told) == 400 for _, _, told in held.values())


@each_version
def test_what_was_deleted_and_collected_is_told_as_the_node_has_it(version: str, protocol: int) -> None:
    node = {"version": version, "protocol": protocol, "node_id": "n", "keys": keys(300, 300), "grace": 300}
    with running(node) as nodes:
        for number in (3, 77, 200):
            nodes.ask("n", "delete", key=f"key-{number}")
        nodes.ask("n", "set_with_ttl", key="passing", value="v")
        assert eventually(lambda: nodes.known("n")["n"]["last_gc_version"] >= 303)
        nodes.ask("n", "set_with_ttl", key="again", value="v")
        answer = probe(nodes.address["n"], "test", version=protocol, timeout=5)
        assert eventually(lambda: nodes.known("n")["n"]["last_gc_version"] == nodes.known("n")["n"]["max_version"])
        later = probe(nodes.address["n"], "test", version=protocol, timeout=5)
        assert as_told(later.members) == as_held(nodes, "n")
    assert answer.is_complete
    assert later.is_complete


@each_version
def test_what_fits_no_datagram_is_said_and_hides_no_other_member(version: str, protocol: int) -> None:
    large = {f"large-{number}": "x" * TOO_LARGE for number in range(3)}
    node = {"version": version, "protocol": protocol, "node_id": "full", "keys": large, "interval": QUIET}
    with running(node) as nodes:
        fill(nodes.address["full"], protocol, members=3, values=90)
        assert eventually(lambda: len(nodes.known("full").get("crowd-0000", {}).get("key_values", [])) == 90)
        target = nodes.address["full"]
        answer = probe(target, "test", version=protocol, timeout=5)
        held = as_held(nodes, "full")
        done = subprocess.run([*COMMAND, "probe", target, "--cluster", "test"], capture_output=True, text=True)
        other = subprocess.run(
            [*COMMAND, "probe", target, "--cluster", "test", "--node", "crowd-*"], capture_output=True, text=True
        )
    stuck = [each for each in answer.members if not each.complete]
    assert [(each.node_id, each.stuck, each.told_up_to, each.max_version) for each in stuck] == [("full", True, 0, 3)]
    told = as_told(answer.members)
    told.pop(stuck[0].chitchat_id)
    held.pop(stuck[0].chitchat_id)
    assert told == held
    assert (answer.trouble, answer.is_complete) == ("", False)
    assert done.returncode == 1
    assert "the next key-value of full (up to 0 of 3) fits no datagram" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (other.returncode, other.stderr) == (0, "")


# --- nodes whose answers fit no datagram ---


def fill(target: str, version: int, *, members: int, values: int) -> None:
    """Make a node hold members that are not there; the first of them has ``values`` keys."""
    crowd: list[dict[str, Any]] = [
        {"node_id": f"crowd-{number:04}", "ip": f"127.99.{number >> 8}.{number & 255}", "port": 9}
        for number in range(members)
    ]
    source = random.Random(1)
    host, _, port = target.rpartition(":")
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.connect((host, int(port)))
        digest = [NodeDigest(**each, heartbeat=2) for each in crowd]
        opened.send(bytes(Chitchat(version=version) / ChitchatSynAck(digest=digest)))
        for first in range(0, values, 30):
            ops = [
                KeyValueOp(key=f"k{number}", value=text(900, source), version=number + 1)
                for number in range(first, min(first + 30, values))
            ]
            delta = [NodeOp(**crowd[0], from_version_excluded=first), *ops]
            opened.send(bytes(Chitchat(version=version) / ChitchatAck(delta=delta)))


@contextmanager
def filled(version: str, protocol: int, members: int) -> Iterator[RunningNodes]:
    node = {"version": version, "protocol": protocol, "node_id": "full", "interval": QUIET}
    with running(node) as nodes:
        fill(nodes.address["full"], protocol, members=members, values=100)
        assert eventually(lambda: len(nodes.known("full").get("crowd-0000", {}).get("key_values", [])) == 100)
        yield nodes


def test_a_node_that_answers_one_version_alone_is_told_all_of() -> None:
    with filled("0.13", 1, members=600) as nodes:
        answer = probe(nodes.address["full"], "test")
        assert (answer.version, answer.is_complete) == (1, True)
        assert as_told(answer.members) == as_held(nodes, "full")
        with pytest.raises(NoAnswerError, match=r"to 2 Syn of V0, but to one of V1"):
            probe(nodes.address["full"], "test", version=0, timeout=0.2, tries=2)


def test_a_node_that_answers_no_empty_digest_is_asked_for_an_ack() -> None:
    with filled("0.9", 0, members=600) as nodes:
        answer = probe(nodes.address["full"], "test", timeout=1, tries=3)
        assert answer.is_complete
        assert as_told(answer.members) == as_held(nodes, "full")
        assert len(answer.members) == 601


def test_an_answer_from_another_address_is_said() -> None:
    port = free_port("0.0.0.0")
    node = {"version": "0.13", "node_id": "n", "listen": f"0.0.0.0:{port}", "advertise": f"127.0.0.1:{port}"}
    with running(node), pytest.raises(NoAnswerError, match=rf"but one from 127\.0\.0\.1:{port}"):
        probe(f"127.0.0.2:{port}", "test", timeout=0.2, tries=2)


# --- nothing changes ---


@each_version
def test_asking_on_leaves_a_cluster_as_it_was(version: str, protocol: int) -> None:
    plain = {"version": version, "protocol": protocol, "interval": QUIET}
    with running(
        {**plain, "node_id": "one", "keys": keys(601, 250)}, {**plain, "node_id": "two", "keys": keys(20, 9)}
    ) as nodes:
        for _ in range(4):
            assert nodes.ask("one", "gossip", peer=nodes.address["two"])["ok"]
        assert eventually(lambda: set(nodes.known("one")) == set(nodes.known("two")) == {"one", "two"})
        before = settled(nodes)
        asked = [
            probe(nodes.address[name], "test", version=protocol, timeout=5, watch=0.05).answers
            for name in ("one", "two")
        ]
        assert asked[0] > 2
        assert settled(nodes) == before


def settled(nodes: RunningNodes) -> list[dict[str, Any]]:
    """All that two nodes know but for their own heartbeats, which rise with each message; once it is at rest."""

    def views() -> list[dict[str, Any]]:
        states = [nodes.ask(name, "state") for name in ("one", "two")]
        for state in states:
            state["nodes"] = [
                {**each, "heartbeat": 0} if each["node_id"] == state["node"] else each for each in state["nodes"]
            ]
        return states

    last: list[Any] = [None, None, None]

    def is_at_rest() -> bool:
        last.append(views())
        del last[0]
        return bool(last[0] == last[1] == last[2])

    assert eventually(is_at_rest)
    return last[0]  # type: ignore[no-any-return]


@each_version
def test_a_probe_keeps_no_dead_member_alive_and_brings_none_back(version: str, protocol: int) -> None:
    port = free_port()
    plain = {"version": version, "protocol": protocol, "seeds": [f"127.0.0.1:{port}"], "interval": 10}
    plain["dead_grace"] = 3000
    asked = {**plain, "node_id": "asked", "listen": f"127.0.0.1:{port}", "keys": keys(300, 300)}
    with running(asked) as nodes:
        with running({**plain, "node_id": "mortal", "keys": {"k": "v"}}):
            assert eventually(lambda: has_lived(nodes, "mortal"))
        heartbeat = nodes.known("asked")["mortal"]["heartbeat"]
        states: list[str] = []

        def until(condition: Callable[[], bool]) -> None:
            """Ask, and ask on, without a pause, until then."""

            def holds() -> bool:
                answer = probe(nodes.address["asked"], "test", version=protocol, timeout=2, watch=0.02)
                assert answer.answers > 2
                states.extend(each.state or "" for each in answer.members if each.node_id == "mortal")
                return condition()

            assert eventually(holds)

        until(lambda: "mortal" in listed(nodes, "dead"))
        assert nodes.known("asked")["mortal"]["heartbeat"] == heartbeat
        until(lambda: "mortal" not in nodes.known("asked"))
        assert "alive" not in states[1:]
        for _ in range(5):
            until(lambda: True)
        assert "mortal" not in nodes.known("asked")


def has_lived(nodes: RunningNodes, name: str) -> bool:
    """Whether a node is listed as alive and has sent so many heartbeats that its silence will soon be noticed."""
    return name in listed(nodes, "live") and bool(nodes.known("asked")[name]["heartbeat"] > 500)


def listed(nodes: RunningNodes, what: str) -> set[str]:
    return {each["node_id"] for each in nodes.ask("asked", "state")[what]}


# --- who is alive ---


def test_who_is_alive_who_is_silent_and_who_a_ghost() -> None:
    port = free_port()
    seeds = {"version": "0.13", "seeds": [f"127.0.0.1:{port}"], "interval": 10}
    with running({**seeds, "node_id": "asked", "listen": f"127.0.0.1:{port}"}) as nodes:
        with running(
            {**seeds, "node_id": "restarted", "generation": 1, "keys": {"run": "first"}},
            {**seeds, "node_id": "gone", "generation": 1},
        ):
            assert eventually(lambda: has_lived(nodes, "restarted") and has_lived(nodes, "gone"))
        with running({**seeds, "node_id": "restarted", "generation": 2, "keys": {"run": "second"}}):
            assert eventually(lambda: len(nodes.ask("asked", "state")["live"]) == 2)
            target = nodes.address["asked"]
            answer = eventually(lambda: seen_alive(probe(target, "test", watch=0.5)))
            shown = subprocess.run([*COMMAND, "probe", target, "--cluster", "test"], capture_output=True, text=True)
            told = subprocess.run(
                [*COMMAND, "probe", target, "--cluster", "test", "--json", "--node", "rest*", "--key", "r?n"],
                capture_output=True,
                text=True,
            )
            assert probe(target, "test").members[0].state is None
    assert [(each.node_id, each.state) for each in answer.members] == [
        *(("asked", "alive"), ("gone", "silent"), ("restarted", "ghost"), ("restarted", "alive"))
    ]
    assert "ghost of another run" in shown.stdout
    runs = [(each["generation_id"], each["key_values"][0]["value"]) for each in json.loads(told.stdout)["members"]]
    assert runs == [(1, "first"), (2, "second")]


def seen_alive(answer: Answer) -> Answer | None:
    """The answer, once the restarted node was seen to move; a starved machine may take longer."""
    return answer if [each.state for each in answer.members].count("alive") == 2 else None


def test_tables_end_at_a_limit_and_say_so() -> None:
    values = {"short": "v", "long": "Q" * 5000, "other": "x"}
    with running({"version": "0.13", "node_id": "n", "keys": values}) as nodes:
        asked = [*COMMAND, "probe", nodes.address["n"], "--cluster", "test", "--watch", "0"]
        cut = subprocess.run([*asked, "--limit", "2"], capture_output=True, text=True)
        whole = subprocess.run([*asked, "--limit", "0"], capture_output=True, text=True)
        none = subprocess.run([*asked, "--key", "nothing*"], capture_output=True, text=True)
    assert "1 member, 3 keys" in cut.stdout
    assert "and 1 more key: --limit 0 shows all" in cut.stdout
    assert "Q" * 201 not in "".join(cut.stdout.split())
    assert "more key" not in whole.stdout
    assert whole.stdout.count("Q") == 5000
    assert (none.returncode, none.stderr.count("\n")) == (0, 1)
    assert "nothing that it told matches" in none.stderr
