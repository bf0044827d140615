# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenarios that have a name: ordinary ones, the ten by which the cluster engine is judged, and the stories."""

from __future__ import annotations

import random
from typing import Any, Literal

import msgspec

from tests.recording.changes import large_value, quickwit_start
from tests.recording.scenario import Node, Scenario, Step

UNSENDABLE = 65_480
"""Bytes of a value that a node takes, and that no delta has room for: room is reckoned before compression."""


def on_loopback(*versions: str, cluster: str = "prod", first: int = 0, **more: Any) -> list[Node]:
    """Nodes on 127.0.0.1, 127.0.0.2 and so on, of these versions. ``0.13/1`` speaks V1."""
    nodes = []
    for number, version in enumerate(versions, first):
        release, _, protocol = version.partition("/")
        nodes.append(
            {
                "version": release,
                "protocol": int(protocol or 0),
                "node_id": f"node-{number}",
                "listen": f"127.0.0.{number + 1}:7280",
                "cluster_id": cluster,
                "seeds": ["127.0.0.1:7280", "127.0.0.2:7280"],
                **more,
            }
        )
    return nodes


def on_link(number: int, version: str, protocol: int) -> Node:
    """A node at 10.77.0.number."""
    return {
        "version": version,
        "protocol": protocol,
        "node_id": f"node-{number}",
        "listen": f"10.77.0.{number}:7280",
        "cluster_id": "prod",
        "seeds": [f"10.77.0.{other}:7280" for other in (1, 2, 3, 4) if other != number],
    }


def on_ipv6(number: int) -> Node:
    """A node at a port of ::1."""
    listen, seeds = f"[::1]:{7280 + number}", ["[::1]:7280"]
    return {"version": "0.11", "node_id": f"node-{number}", "listen": listen, "seeds": seeds, "cluster_id": "prod"}


def large_keys(name: str, count: int, size: int, at: float) -> list[Step]:
    """Give a node keys whose values hardly compress, all at once."""
    choice = random.Random(f"{name} {at}")
    return [Step(at, "set", name, key=f"large-{number}", value=large_value(choice, size)) for number in range(count)]


def again(name: str, killed: float, started: float) -> list[Step]:
    """A node that dies and comes back as a new run of itself."""
    return [Step(killed, "kill", name), Step(started, "start", name)]


def asleep(name: str, *spans: tuple[float, float]) -> list[Step]:
    """A node whose process stands still, from one second to another, once or several times."""
    return [step for since, to in spans for step in (Step(since, "pause", name), Step(to, "wake", name))]


def cut_off(name: str, since: float, to: float, **more: Any) -> list[Step]:
    """A node that is not heard (``direction="from"``) or does not hear (``"to"``), for a while."""
    return [Step(since, "cut", name, **more), Step(to, "mend", name)]


def readiness(name: str, *at: float) -> list[Step]:
    """A node that says that it is ready, and then that it is not, and so on."""
    states = ("READY", "NOT_READY")
    return [Step(second, "set", name, key="readiness", value=states[turn % 2]) for turn, second in enumerate(at)]


ORDINARY = {
    "three-nodes": Scenario([on_loopback("0.13", "0.13", "0.13")]),
    "five-nodes-v1": Scenario([on_loopback(*["0.13/1"] * 5)]),
    "garbage-collection": Scenario([on_loopback("0.10", "0.10", "0.10", grace=2000)], changes=20),
    "large-fragmented": Scenario(
        [on_loopback("0.10", "0.10", "0.10")],
        steps=[
            *(step for number in range(3) for step in large_keys(f"node-{number}", 20, 2500, 0)),
            *large_keys("node-0", 20, 2500, 4),
        ],
    ),
    "restart": Scenario([on_loopback(*["0.13/1"] * 4)], steps=again("node-3", 4, 6)),
    "ipv6": Scenario([[on_ipv6(number) for number in range(4)]]),
    "bad-cluster": Scenario([[*on_loopback("0.11", "0.11"), *on_loopback("0.11", cluster="other", first=2)]]),
    "mixed-fragmented": Scenario(
        [
            [on_link(1, "0.10", 0), on_link(3, "0.13", 1)],
            [on_link(2, "0.13", 0), on_link(4, "0.13", 1)],
        ],
        steps=[step for number in range(1, 5) for step in large_keys(f"node-{number}", 3, 3000, 0)],
        changes=1,
    ),
}

_TUNNELS: tuple[Literal["vxlan", "geneve"], ...] = ("vxlan", "geneve")

TUNNELLED: dict[str, Scenario] = {
    kind: Scenario(
        [[on_link(1, "0.13", 1)], [on_link(2, "0.13", 1)]],
        steps=[step for number in (1, 2) for step in large_keys(f"node-{number}", 4, 3000, 1)],
        changes=1,
        tunnel=kind,
    )
    for kind in _TUNNELS
}
"""Two nodes whose gossip travels in a tunnel with an MTU of 1450, some of it in fragments."""

BRISK: dict[str, Any] = {"interval": 200, "initial_interval": 1000}
"""Rounds so close, and a failure detector that expects it: deaths take seconds."""

JUDGED = {
    # who slept longer than deleted keys are kept is reset when it wakes
    "workload-gc-0.9": Scenario(
        [on_loopback(*["0.9"] * 4, grace=2000, interval=200)],
        28,
        asleep("node-3", (6, 11), (16, 21)),
        changes=8,
        words="quickwit",
    ),
    "workload-gc-mixed-v1": Scenario(
        # the seeds must hear V1, or nodes that speak it stay alone
        [on_loopback("0.13", "0.12", "0.11", "0.10", "0.12/1", "0.13/1", grace=3000, interval=250)],
        30,
        asleep("node-3", (6, 12)) + asleep("node-5", (15, 22)),
        changes=5,
        words="quickwit",
    ),
    "restart-0.10": Scenario(
        [on_loopback(*["0.10"] * 5, **BRISK, grace=4000, dead_grace=16_000)],
        30,
        again("node-4", 6, 13) + again("node-0", 18, 19),
    ),
    "restart-0.12-v1": Scenario(
        [on_loopback(*["0.12/1"] * 5, interval=250, grace=4000)],
        40,
        again("node-2", 8, 24) + again("node-1", 30, 30.5),
    ),
    "flapping-0.11": Scenario(
        [on_loopback(*["0.11"] * 6, **BRISK)], 40, asleep("node-5", (6, 12), (16, 23), (28, 35)), changes=3
    ),
    "flapping-0.13-v1": Scenario(
        [on_loopback(*["0.13/1"] * 8, interval=250, dead_grace=20_000)],
        60,
        asleep("node-7", (14, 22), (28, 38)) + asleep("node-3", (30, 50)),
    ),
    "large-0.9": Scenario(
        [on_loopback(*["0.9"] * 5, interval=250)],
        20,
        [
            *(step for number in range(4) for step in large_keys(f"node-{number}", 8, 2500, 1)),
            *large_keys("node-0", 30, 2500, 6),
            Step(10, "start", "node-4"),
        ],
    ),
    "large-0.13-v1": Scenario(
        [on_loopback(*["0.13/1"] * 5, interval=250)],
        24,
        [
            *(step for number in range(4) for step in large_keys(f"node-{number}", 20, 2500, 1)),
            Step(6, "set", "node-1", key="too-large", value="0123456789", times=UNSENDABLE // 10),
            Step(9, "start", "node-4"),
            Step(18, "delete", "node-1", key="too-large"),
        ],
    ),
    "cut-other-cluster-0.10": Scenario(
        [[*on_loopback(*["0.10"] * 5, **BRISK), *on_loopback("0.10", cluster="other", first=5, **BRISK)]],
        36,
        cut_off("node-3", 8, 17) + cut_off("node-1", 24, 32, direction="to"),
    ),
    "cut-other-cluster-0.13-v1": Scenario(
        [[*on_loopback(*["0.13/1"] * 5, **BRISK), *on_loopback("0.13/1", "0.11", cluster="other", first=5, **BRISK)]],
        36,
        cut_off("node-2", 6, 14, peer="node-4") + cut_off("node-4", 20, 30),
    ),
}
"""Two of each kind, of 0.9 to 0.13, V0 and V1: by these and the stories the cluster engine is judged."""

NAMES = ("indexer", "searcher", "control-plane", "metastore", "janitor")
SERVICES = {name: name.replace("-", "_") for name in NAMES}


def quickwit_nodes(count: int, versions: tuple[str, ...], **more: Any) -> list[Node]:
    """Nodes as of a Quickwit cluster: more indexers and searchers than others, in three zones."""
    kinds = ["control-plane", "metastore", "janitor"]
    kinds += ["indexer" if number % 3 else "searcher" for number in range(count - len(kinds))]
    nodes = []
    for number, kind in enumerate(kinds):
        version, _, protocol = versions[number % len(versions)].partition("/")
        address = f"127.0.0.{number + 1}:7280"
        nodes.append(
            {
                "version": version,
                "protocol": int(protocol or 0),
                "node_id": f"{kind}-{kinds[:number].count(kind)}",
                "listen": address,
                "cluster_id": "prod",
                "seeds": ["127.0.0.1:7280", "127.0.0.2:7280"],
                "keys": quickwit_start(address, SERVICES[kind], "abc"[number % 3]),
                **more,
            }
        )
    return nodes


def stranger(place: int, version: str, **more: Any) -> Node:
    """A node of another cluster whose seeds are the first nodes of ours."""
    [node] = on_loopback(version, cluster="staging", first=place, **more)
    return {**node, "node_id": "staging-searcher-0"}


def story(nodes: list[Node], second: float) -> list[Step]:
    """All that may happen to a cluster, one thing after the other; ``second`` stretches it."""
    steps = [
        *(step for place, node in enumerate(nodes) for step in readiness(node["node_id"], 2 + place % 5)),
        *readiness("indexer-1", 9, 14, 18),
        Step(5, "set", "metastore-0", key="maintenance", value="index-migration"),
        Step(11, "delete", "metastore-0", key="maintenance"),
        *asleep("searcher-0", (10, 20), (25, 36)),
        *cut_off("indexer-0", 22, 33),
        Step(15, "set", "janitor-0", key="indexer.task:too-large", value="01J8ZK3V9Q", times=UNSENDABLE // 10),
        Step(17, "set", "janitor-0", key="readiness", value="NOT_READY"),
        *again("searcher-1", 28, 31),
    ]
    return [msgspec.structs.replace(step, at=step.at * second) for step in steps]


def told(
    count: int, versions: tuple[str, ...], *, second: float, seconds: float, changes: float, **more: Any
) -> Scenario:
    """A story of so many nodes and a stranger."""
    nodes = quickwit_nodes(count, versions, **more)
    strange = stranger(count, versions[0], interval=more["interval"])
    return Scenario([[*nodes, strange]], seconds, story(nodes, second), changes, "quickwit")


STORIES = {
    "story": told(11, ("0.13/1",), second=1.5, seconds=62, changes=0.15, interval=1000, grace=8000),
    "large-story": told(
        16, ("0.13/1", "0.13", "0.12/1", "0.11"), second=1.25, seconds=55, changes=0.5, interval=250, grace=6000
    ),
}
"""A cluster to which everything happens."""

SCENARIOS: dict[str, Scenario] = {**ORDINARY, **TUNNELLED, **JUDGED, **STORIES}
